// What a gateway, or whoever plays one on the LAN, can answer: whatever it is, nothing is read beyond it, the client asks no
// more often than it may, and what it takes for a mapping can be sent to. Two bytes before each answer are the seconds until
// it comes.
#include <cstdlib>

#include "discovery/port_mapping.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

const net::Endpoint kGateway{net::IpAddress::v4(192, 168, 1, 1), discovery::pcp::kServerPort, 0};
const net::IpAddress kLocal = net::IpAddress::v4(192, 168, 1, 7);

/// As the whole of what UPnP reads: an answer to a search, a description, an answer to a call.
void run_upnp(net::ByteView bytes) {
    const discovery::upnp::Url from{kGateway, "/a/b"};
    for (const auto& service : discovery::upnp::services_of(net::as_text(bytes), from)) require(service.control.host.port != 0);
    bool broken = false;
    const auto answer = discovery::upnp::parse_http(bytes, false, broken);
    require(!(answer && broken));
    if (answer) require(answer->body.size() <= bytes.size());
    broken = false;
    require(discovery::upnp::parse_http(bytes, true, broken).has_value() != broken);

    net::SeededRandom random(1);
    net::Now now{net::Steady(std::chrono::hours(1)), {}};
    discovery::UpnpClient client({kGateway.address, kLocal, 51820}, random, now);
    client.receive(bytes, kGateway, now);
    client.receive(net::as_bytes("HTTP/1.1 200 OK\r\nLOCATION: http://192.168.1.1:5000/x\r\n\r\n"), kGateway, now);
    for (int i = 0; i < 8; ++i) {
        const auto exchange = client.take_exchange();
        if (!exchange) break;
        require(exchange->to.address == kGateway.address && exchange->request.size() < 4096);
        client.answered(exchange->id, bytes, true, now);
    }
    require(!client.take_exchange());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    net::Reader in({reinterpret_cast<const std::byte*>(data), size});
    (void)discovery::pcp::parse(in.rest());
    (void)discovery::nat_pmp::parse(in.rest());
    run_upnp(in.rest());

    net::SeededRandom random(1);
    net::Now now{net::Steady(std::chrono::hours(1)), net::Wall(std::chrono::hours(1))};
    const auto& gateway = kGateway;
    discovery::PcpClient::Settings settings{gateway, kLocal, 51820, {}};
    settings.nonce.fill(std::byte{7});
    discovery::PcpClient client(settings, random, now);
    discovery::PortMapping mapping({gateway, settings.local, 51820, net::Bytes(32)}, random, now);
    std::size_t sent = client.take_datagrams().size(), answers = 0;
    const auto began = now.steady;
    while (in.left() > 3) {
        now.steady += std::chrono::seconds(in.u16be());
        const auto answer = in.bytes(std::min<std::size_t>(in.u8(), in.left()));
        client.tick(now);
        client.receive(answer, gateway, now);
        mapping.tick(now);
        mapping.receive(answer, gateway, now);
        ++answers;
        sent += client.take_datagrams().size();
        require(client.released() || client.next_deadline() > now.steady || client.next_deadline() >= began);
        if (client.mapping()) require(client.mapping()->external.port != 0 && client.mapping()->until >= now.steady);
        if (const auto external = mapping.external()) require(external->port != 0 && !external->address.is_private());
        (void)mapping.report(now);
        (void)mapping.take_datagrams();
    }
    const auto passed_s = std::chrono::duration_cast<std::chrono::seconds>(now.steady - began).count();
    // Two at most every four seconds, one after each answer to NAT-PMP's, and the first ones.
    require(sent <= 4 + 2 * answers + static_cast<std::size_t>(passed_s));
    client.release(now);
    now.steady += discovery::PcpClient::kReleaseWithin;
    client.tick(now);
    require(client.released());
    return 0;
}
