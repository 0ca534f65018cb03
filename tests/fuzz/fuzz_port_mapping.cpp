// What a gateway, or whoever plays one on the LAN, can answer: whatever it is, nothing is read beyond it, the client asks no
// more often than it may, and what it takes for a mapping can be sent to. Two bytes before each answer are the seconds until
// it comes.
#include <cstdlib>

#include "discovery/port_mapping.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    net::Reader in({reinterpret_cast<const std::byte*>(data), size});
    (void)discovery::pcp::parse(in.rest());
    (void)discovery::nat_pmp::parse(in.rest());

    net::SeededRandom random(1);
    net::Now now{net::Steady(std::chrono::hours(1)), net::Wall(std::chrono::hours(1))};
    const net::Endpoint gateway{net::IpAddress::v4(192, 168, 1, 1), discovery::pcp::kServerPort, 0};
    discovery::PcpClient::Settings settings{gateway, net::IpAddress::v4(192, 168, 1, 7), 51820, {}};
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
