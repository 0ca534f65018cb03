#include "own_network.hpp"
#include "tun/addressing.hpp"
#include "tun/device.hpp"
#include "tun/gateways.hpp"

using tun::default_gateways;
using tun::Device;
using tun::Gateway;

namespace {

net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

sockaddr socket_address(const char* text) {
    sockaddr_in value{};
    value.sin_family = AF_INET;
    REQUIRE(::inet_pton(AF_INET, text, &value.sin_addr) == 1);
    sockaddr out;
    std::memcpy(&out, &value, sizeof out);
    return out;
}

/// The default route; `via` may be null.
void change_default(unsigned long what, const char* via, short metric, std::string device) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    rtentry route{};
    route.rt_dst = route.rt_genmask = socket_address("0.0.0.0");
    route.rt_flags = RTF_UP;
    if (via != nullptr) {
        route.rt_gateway = socket_address(via);
        route.rt_flags |= RTF_GATEWAY;
    }
    route.rt_metric = static_cast<short>(metric + 1);
    route.rt_dev = device.data();
    REQUIRE(::ioctl(socket, what, &route) == 0);
    ::close(socket);
}

}  // namespace

TEST_CASE("the gateway is the next hop of the default route that is used") {
    if (!test::enter_own_network()) return;
    const auto mesh = Device::open({.name = "mesh0"});
    const auto lan = Device::open({.name = "lan0"});
    const auto wlan = Device::open({.name = "wlan0"});
    REQUIRE((mesh && lan && wlan));
    test::set_address("mesh0", "10.77.0.1", "255.255.0.0");
    test::set_address("lan0", "192.168.1.7", "255.255.255.0");
    test::set_address("wlan0", "192.168.2.7", "255.255.255.0");
    for (const auto* name : {"mesh0", "lan0", "wlan0"}) test::set_flags(name, IFF_UP);
    CHECK(default_gateways(mesh->index())->empty());

    const auto index = [](const auto& device) { return static_cast<std::uint32_t>(device->index()); };
    change_default(SIOCADDRT, "192.168.2.1", 600, "wlan0");
    CHECK(*default_gateways(mesh->index()) == std::vector{Gateway{ip("192.168.2.1"), index(wlan)}});
    change_default(SIOCADDRT, "192.168.1.1", 100, "lan0");
    CHECK(*default_gateways(mesh->index()) == std::vector{Gateway{ip("192.168.1.1"), index(lan)}});

    // One into the mesh is not by a gateway that maps anything, nor is one that has none.
    change_default(SIOCADDRT, "10.77.0.9", 10, "mesh0");
    change_default(SIOCADDRT, nullptr, 20, "wlan0");
    CHECK(*default_gateways(mesh->index()) == std::vector{Gateway{ip("192.168.1.1"), index(lan)}});
    change_default(SIOCDELRT, "192.168.1.1", 100, "lan0");
    CHECK(*default_gateways(mesh->index()) == std::vector{Gateway{ip("192.168.2.1"), index(wlan)}});
}
