// By which interface a question may come to an address of the overlay: with devices and packets of the test's own.
#include <fcntl.h>
#include <linux/if_tun.h>

#include "meshd/dns_sockets.hpp"
#include "tests/unit/tun/own_network.hpp"
#include "tests/unit/tun/packets.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t kPort = 53;
constexpr std::uint32_t kOurs = 0x0a570001, kMember = 0x0a570002, kNeighbour = 0xc0a80107;

/// A device whose other side, a wire with anybody on it, is the test.
struct Wire {
    Wire(const std::string& name, const char* address, const char* netmask) : fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC)) {
        ifreq request{};
        std::memcpy(request.ifr_name, name.c_str(), name.size());
        request.ifr_flags = IFF_TUN | IFF_NO_PI;
        REQUIRE(::ioctl(fd, TUNSETIFF, &request) == 0);
        test::set_address(name, address, netmask);
        test::set_flags(name, IFF_UP);
        index = ::if_nametoindex(name.c_str());
    }
    ~Wire() { ::close(fd); }
    void send(const test::Packet& packet) const {
        const auto bytes = packet.bytes();
        REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    }
    /// The next IPv4 packet from this machine; empty: none is there.
    net::Bytes receive() const {
        net::Bytes out(2000);
        pollfd entry{fd, POLLIN, 0};
        while (::poll(&entry, 1, 0) == 1) {
            out.resize(2000);
            out.resize(static_cast<std::size_t>(::read(fd, out.data(), out.size())));
            if (std::to_integer<unsigned>(out[0]) >> 4 == 4) return out;
        }
        return {};
    }

    int fd;
    unsigned index = 0;
};

test::Packet to_us(std::uint32_t from, std::uint8_t protocol) {
    test::Packet out;
    out.source = from;
    out.destination = kOurs;
    out.protocol = protocol;
    out.destination_port = kPort;
    out.flags = test::kSyn;
    if (protocol == test::kUdp) out.payload = net::Bytes(20, std::byte{'q'});
    return out;
}

std::uint8_t flags_of(const net::Bytes& tcp) { return tcp.size() < 40 ? std::uint8_t{0} : std::to_integer<std::uint8_t>(tcp[33]); }

}  // namespace

TEST_CASE("at an address of the overlay DNS is asked through the mesh or by this machine, by UDP and TCP") {
    if (!test::enter_own_network()) return;
    const Wire mesh("mesh0", "10.87.0.1", "255.255.0.0"), lan("lan0", "192.168.1.1", "255.255.255.0");
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    watchdog.after(10s);
    meshd::DnsSockets sockets(
        loop, kPort,
        {[](net::ByteView message, const net::IpAddress&, const net::IpAddress&, bool) { return net::copy(message); },
         [](const net::IpAddress&, const net::IpAddress&, bool) { return true; }, [] {}});
    const auto ours = net::IpAddress::v4(kOurs);
    sockets.listen({{ours, true}}, mesh.index);
    REQUIRE(sockets.doors().at(ours).trouble.empty());

    // The kernel answers in the very call that brings the packet.
    mesh.send(to_us(kMember, test::kTcp));
    CHECK(flags_of(mesh.receive()) == (test::kSyn | test::kAck));
    lan.send(to_us(kNeighbour, test::kTcp));
    CHECK(flags_of(lan.receive()) == (test::kRst | test::kAck));

    lan.send(to_us(kNeighbour, test::kUdp));
    mesh.send(to_us(kMember, test::kUdp));
    net::Bytes answer;
    while ((answer = mesh.receive()).empty()) loop.run_once();
    CHECK(answer.size() == 48);
    CHECK(lan.receive().empty());
    CHECK(sockets.counters().strangers == 1);

    dns::Framer back;
    const auto local = loop::Stream::connect_tcp(
        loop, {ours, kPort, 0}, {nullptr, [&](net::ByteView bytes) { back.feed(bytes); }, [](const loop::Closed&) {}, nullptr});
    local->write(dns::Framer::framed(net::Bytes(20, std::byte{'q'})));
    while (!back.next()) loop.run_once();
}
