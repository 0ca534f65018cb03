#include "own_network.hpp"

#include "net/packet.hpp"
#include "tun/addressing.hpp"
#include "tun/device.hpp"

using Catch::Contains;
using net::IpAddress;
using net::Prefix;
using tun::Device;

namespace {

/// IPv4 UDP without a UDP checksum (RFC 768 allows zero).
net::Bytes udp_packet(const char* from, const char* to, std::uint16_t port, std::string_view payload) {
    net::Writer out;
    const auto source = *IpAddress::parse(from), destination = *IpAddress::parse(to);
    out.u8(0x45).u8(0).u16be(static_cast<std::uint16_t>(28 + payload.size())).u32be(0).u8(64).u8(17).u16be(0);
    out.bytes(source.bytes()).bytes(destination.bytes());
    auto header = out.take();
    std::uint32_t sum = 0;
    net::Reader words(header);
    while (words.left() > 0) sum += words.u16be();
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    header[10] = static_cast<std::byte>(sum >> 8);
    header[11] = static_cast<std::byte>(sum & 0xff);
    net::Writer whole;
    whole.bytes(header).u16be(4000).u16be(port).u16be(static_cast<std::uint16_t>(8 + payload.size())).u16be(0);
    return whole.bytes(net::as_bytes(payload)).take();
}

}  // namespace

TEST_CASE("packets come out of the device and go into it") {
    if (!test::enter_own_network()) return;
    auto device = Device::open({.name = "mesh%d", .mtu_bytes = 1400, .queue_packets = 123});
    REQUIRE(device);
    CHECK(device->name() == "mesh0");
    CHECK(device->index() == static_cast<int>(::if_nametoindex("mesh0")));
    auto addressing = tun::Addressing::open(device->index());
    REQUIRE(addressing);
    REQUIRE(
        addressing->reconcile({{*IpAddress::parse("10.77.0.1")}, {*Prefix::parse("10.77.0.0/16")}})->refused.empty());

    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(5555);
    REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);

    auto& queue = device->queues()[0];
    test::write(queue, {}, udp_packet("10.77.0.2", "10.77.0.1", 5555, "inward"));
    REQUIRE(test::readable(socket));
    char heard[16];
    CHECK(std::string_view(heard, static_cast<std::size_t>(::recv(socket, heard, sizeof heard, 0))) == "inward");

    ::inet_pton(AF_INET, "10.77.0.2", &address.sin_addr);
    REQUIRE(::sendto(socket, "outward", 7, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 7);
    REQUIRE(test::readable(device->fd()));
    net::Bytes buffer(2000);
    const auto received = queue.read(buffer);
    REQUIRE(received);
    // The kernel says nothing else on a device that just came up: no router solicitation was before this.
    const auto header = net::parse_ip(net::ByteView(buffer).first(received->size));
    REQUIRE(header);
    CHECK(header->source == *IpAddress::parse("10.77.0.1"));
    CHECK(header->destination == *IpAddress::parse("10.77.0.2"));
    CHECK_FALSE(queue.read(buffer));
    CHECK(queue.refused() == 0);
    test::write(queue, {}, net::Bytes(20, std::byte{0xff}));
    CHECK(queue.refused() == 1);
    queue.write({}, std::vector<net::ByteView>(tun::Queue::kMaxPieces + 1));
    CHECK(queue.refused() == 2);

    ifreq request{};
    std::memcpy(request.ifr_name, "mesh0", 6);
    REQUIRE(::ioctl(socket, SIOCGIFMTU, &request) == 0);
    CHECK(request.ifr_mtu == 1400);
    REQUIRE(::ioctl(socket, SIOCGIFTXQLEN, &request) == 0);
    CHECK(request.ifr_qlen == 123);
    ::close(socket);
}

TEST_CASE("the device goes when its owner goes, and moves with it") {
    if (!test::enter_own_network()) return;
    {
        auto first = Device::open({.name = "mesh7"});
        REQUIRE(first);
        const Device second = std::move(*first);
        CHECK(second.name() == "mesh7");
        CHECK(::if_nametoindex("mesh7") != 0);
    }
    CHECK(::if_nametoindex("mesh7") == 0);
}

TEST_CASE("a name that is taken, or no name at all, is refused with what to do") {
    if (!test::enter_own_network()) return;
    const auto first = Device::open({});
    REQUIRE(first);
    CHECK_THAT(Device::open({}).error().message, Contains("mesh0") && Contains("the name is taken"));
    const auto shared = Device::open({.name = "mesh1", .queues = 2});
    REQUIRE(shared);
    CHECK_THAT(Device::open({.name = "mesh1", .queues = 2}).error().message, Contains("the name is taken"));
    CHECK_THAT(Device::open({.name = "lo"}).error().message, Contains("cannot create the device lo"));
    CHECK_THAT(Device::open({.name = "sixteen-letters-"}).error().message, Contains("1 to 15 characters"));
    CHECK_THAT(Device::open({.name = "m", .mtu_bytes = 1279}).error().message, Contains("1280"));
    CHECK_THAT(Device::open({.name = "m", .gso_max_bytes = 65537}).error().message, Contains("65536"));
}
