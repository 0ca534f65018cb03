#include "own_network.hpp"

#include <linux/rtnetlink.h>


#include "tun/addressing.hpp"
#include "tun/device.hpp"
#include "tun/network_watch.hpp"

using net::IpAddress;
using net::Prefix;
using tun::Addressing;
using tun::Device;

namespace {

IpAddress address(const char* text) { return *IpAddress::parse(text); }
Prefix prefix(const char* text) { return *Prefix::parse(text); }

/// The address from which this machine would send to `to`, or none: what the kernel makes of addresses and routes.
IpAddress way_to(const char* to) {
    const auto destination = address(to);
    const int socket = ::socket(destination.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    IpAddress from;
    if (destination.is_v6()) {
        sockaddr_in6 peer{};
        peer.sin6_family = AF_INET6;
        peer.sin6_port = htons(9);
        std::memcpy(&peer.sin6_addr, destination.bytes().data(), 16);
        socklen_t size = sizeof peer;
        if (::connect(socket, reinterpret_cast<sockaddr*>(&peer), size) == 0 &&
            ::getsockname(socket, reinterpret_cast<sockaddr*>(&peer), &size) == 0) {
            from = IpAddress::from_bytes(std::as_bytes(std::span(&peer.sin6_addr, 1)));
        }
    } else {
        sockaddr_in peer{};
        peer.sin_family = AF_INET;
        peer.sin_port = htons(9);
        std::memcpy(&peer.sin_addr, destination.bytes().data(), 4);
        socklen_t size = sizeof peer;
        if (::connect(socket, reinterpret_cast<sockaddr*>(&peer), size) == 0 &&
            ::getsockname(socket, reinterpret_cast<sockaddr*>(&peer), &size) == 0) {
            from = IpAddress::from_bytes(std::as_bytes(std::span(&peer.sin_addr, 1)));
        }
    }
    ::close(socket);
    return from;
}

}  // namespace

TEST_CASE("what is wanted is added, what is no longer wanted is removed, the rest is not touched") {
    if (!test::enter_own_network()) return;
    const auto device = Device::open({});
    REQUIRE(device);
    auto addressing = Addressing::open(device->index());
    REQUIRE(addressing);
    const tun::Wanted wanted{{address("10.77.0.1"), address("fd12::1")},
                             {prefix("10.77.0.0/16"), prefix("fd12::/48"), prefix("192.168.1.0/24")}};
    auto outcome = addressing->reconcile(wanted);
    REQUIRE(outcome);
    for (const auto& error : outcome->refused) FAIL_CHECK(error.message);
    CHECK(outcome->added == 5);
    CHECK(way_to("10.77.9.9") == address("10.77.0.1"));
    CHECK(way_to("192.168.1.9") == address("10.77.0.1"));
    CHECK(way_to("fd12::9") == address("fd12::1"));
    CHECK(way_to("192.168.2.9").is_none());

    outcome = addressing->reconcile(wanted);
    CHECK(outcome->added + outcome->removed == 0);

    outcome = addressing->reconcile({{address("10.77.0.2"), address("fd12::1")},
                                     {prefix("10.77.0.0/16"), prefix("fd12::/48"), prefix("192.168.2.0/24")}});
    for (const auto& error : outcome->refused) FAIL_CHECK(error.message);
    CHECK(way_to("10.77.9.9") == address("10.77.0.2"));
    CHECK(way_to("192.168.1.9").is_none());
    CHECK(way_to("192.168.2.9") == address("10.77.0.2"));

    // A second one, as after a crash with a device that stayed, finds all of it by its protocol number.
    auto after_crash = Addressing::open(device->index());
    outcome = after_crash->clear();
    CHECK(outcome->removed >= 3);  // the kernel takes the IPv4 routes away with the last IPv4 address
    CHECK(after_crash->clear()->removed == 0);
    CHECK(way_to("10.77.9.9").is_none());
    CHECK(way_to("fd12::9").is_none());
}

TEST_CASE("another's route on the same device is left alone") {
    if (!test::enter_own_network()) return;
    const auto device = Device::open({});
    REQUIRE(device);
    test::set_address(device->name(), "192.168.9.1", "255.255.255.255");
    auto addressing = Addressing::open(device->index());
    REQUIRE(addressing->reconcile({{address("10.77.0.1")}, {prefix("10.77.0.0/16")}}));
    CHECK(way_to("192.168.9.1").is_none());  // addresses on our device are ours alone
    test::add_route("172.16.0.0", "255.240.0.0", device->name());
    CHECK(way_to("172.16.0.1") == address("10.77.0.1"));
    REQUIRE(addressing->reconcile({{address("10.77.0.1")}, {}}));
    CHECK(way_to("10.77.9.9").is_none());
    CHECK(way_to("172.16.0.1") == address("10.77.0.1"));
}

TEST_CASE("a directly attached network wins over the mesh's route to it, as long as it is attached") {
    if (!test::enter_own_network()) return;
    const auto device = Device::open({});
    const auto lan = Device::open({.name = "lan0"});
    REQUIRE(device);
    REQUIRE(lan);
    test::set_address("lan0", "192.168.1.7", "255.255.255.0");
    auto addressing = Addressing::open(device->index());
    CHECK(*tun::attached_networks(device->index()) == std::vector{prefix("192.168.1.0/24")});
    CHECK(tun::attached_networks(lan->index())->empty());

    const tun::Wanted wanted{{address("10.77.0.1")},
                             {prefix("192.168.1.0/24"), prefix("192.168.1.128/25"), prefix("192.168.0.0/16")}};
    auto outcome = addressing->reconcile(wanted);
    CHECK(outcome->refused.empty());
    CHECK(outcome->attached == std::vector{prefix("192.168.1.0/24"), prefix("192.168.1.128/25")});
    CHECK(way_to("192.168.1.200") == address("192.168.1.7"));
    CHECK(way_to("192.168.2.200") == address("10.77.0.1"));

    test::set_flags("lan0", 0);
    outcome = addressing->reconcile(wanted);
    CHECK(outcome->attached.empty());
    CHECK(outcome->added == 2);
    CHECK(way_to("192.168.1.200") == address("10.77.0.1"));

    test::set_flags("lan0", IFF_UP);
    CHECK(way_to("192.168.1.20") == address("192.168.1.7"));  // by its metric, even before we react
    outcome = addressing->reconcile(wanted);
    CHECK(outcome->removed == 2);
    CHECK(way_to("192.168.1.200") == address("192.168.1.7"));
}

TEST_CASE("changes of the network are told, but not our own") {
    if (!test::enter_own_network()) return;
    const auto device = Device::open({});
    auto watch = tun::NetworkWatch::open(device->index());
    REQUIRE(watch);
    CHECK_FALSE(watch->take().any());
    auto addressing = Addressing::open(device->index());
    REQUIRE(addressing->reconcile({{address("10.77.0.1"), address("fd12::1")}, {prefix("10.77.0.0/16")}})->added == 3);
    const auto own = watch->take();
    CHECK_FALSE(own.links);
    CHECK_FALSE(own.addresses);

    const auto lan = Device::open({.name = "lan0"});
    CHECK(watch->take().links);
    test::set_address("lan0", "192.168.1.7", "255.255.255.0");
    const auto change = watch->take();
    CHECK(change.addresses);
    CHECK(change.routes);
    CHECK_FALSE(watch->take().any());
}

TEST_CASE("what the kernel refuses is told with its reason") {
    if (!test::enter_own_network()) return;
    const auto device = Device::open({});
    REQUIRE(device);
    auto addressing = Addressing::open(999999);  // no such device: each address is refused, with a reason
    const auto outcome = addressing->reconcile({{address("10.77.0.1")}, {}});
    REQUIRE(outcome);
    REQUIRE(outcome->refused.size() == 1);
    CHECK_THAT(outcome->refused[0].message, Catch::Contains("add the address 10.77.0.1"));
}
