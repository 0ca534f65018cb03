#include "own_network.hpp"

#include <cstdio>

#include "tun/addressing.hpp"
#include "tun/device.hpp"
#include "tun/exit_routing.hpp"

namespace {

constexpr unsigned kMark = 0x6d;

/// The interface whose address a socket gets for a way to 198.51.100.1: "10.77.0.1", or none.
std::string source_of_way(unsigned mark) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    REQUIRE(::inet_pton(AF_INET, "198.51.100.1", &address.sin_addr) == 1);
    socklen_t size = sizeof address;
    char text[INET_ADDRSTRLEN] = "none";
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
        ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
    }
    ::close(socket);
    return text;
}

std::size_t rules() {
    std::size_t lines = 0;
    for (const auto* const command : {"ip -4 rule", "ip -6 rule"}) {
        auto* const output = ::popen(command, "r");
        char line[512];
        while (std::fgets(line, sizeof line, output) != nullptr) ++lines;
        ::pclose(output);
    }
    return lines;
}

}  // namespace

TEST_CASE("all that is not marked and has no longer route goes into the device, until that is taken back") {
    if (!test::enter_own_network()) return;
    const auto device = tun::Device::open({});
    const auto uplink = tun::Device::open({.name = "lan0"});
    REQUIRE(device);
    REQUIRE(uplink);
    test::set_address("lan0", "192.0.2.7", "255.255.255.0");
    test::add_route("0.0.0.0", "0.0.0.0", "lan0");
    auto addressing = tun::Addressing::open(device->index());
    REQUIRE(addressing->reconcile({{*net::IpAddress::parse("10.77.0.1"), *net::IpAddress::parse("fd12::1")}, {}}));
    const auto before = rules();

    auto exit = tun::ExitRouting::open(device->index(), kMark);
    REQUIRE(exit);
    REQUIRE(exit->remove());
    CHECK(source_of_way(0) == "192.0.2.7");
    REQUIRE(exit->add());
    REQUIRE(exit->add());  // twice is once
    CHECK(rules() == before + 4);
    CHECK(source_of_way(0) == "10.77.0.1");
    CHECK(source_of_way(kMark) == "192.0.2.7");
    // A longer route, such as that of the LAN, stays.
    test::add_route("198.51.100.0", "255.255.255.0", "lan0");
    CHECK(source_of_way(0) == "192.0.2.7");

    // Another process, after a crash, with another device and mark.
    auto next = tun::ExitRouting::open(uplink->index(), 1);
    REQUIRE(next->remove());
    CHECK(rules() == before);
    CHECK(source_of_way(0) == "192.0.2.7");
}
