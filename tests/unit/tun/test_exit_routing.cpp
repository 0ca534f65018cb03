#include "own_network.hpp"

#include <netlink/errno.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "tun/addressing.hpp"
#include "tun/device.hpp"
#include "tun/exit_routing.hpp"
#include "tun/network_watch.hpp"

namespace {

constexpr tun::Mark kMark{0x6d, 0xff};

/// Which of this machine's addresses a socket gets for a way to the outside; "none" without one.
std::string source_of_way(unsigned mark, bool v6 = false) {
    const int socket = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0);
    sockaddr_storage address{};
    auto& as_v4 = reinterpret_cast<sockaddr_in&>(address);
    auto& as_v6 = reinterpret_cast<sockaddr_in6&>(address);
    address.ss_family = v6 ? AF_INET6 : AF_INET;
    as_v4.sin_port = htons(9);
    if (v6) REQUIRE(::inet_pton(AF_INET6, "2001:db8:1::1", &as_v6.sin6_addr) == 1);
    if (!v6) REQUIRE(::inet_pton(AF_INET, "198.51.100.1", &as_v4.sin_addr) == 1);
    socklen_t size = v6 ? sizeof as_v6 : sizeof as_v4;
    char text[INET6_ADDRSTRLEN] = "none";
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
        ::inet_ntop(address.ss_family, v6 ? static_cast<void*>(&as_v6.sin6_addr) : &as_v4.sin_addr, text, sizeof text);
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

void run(const char* command) {
    INFO(command);
    REQUIRE(std::system(command) == 0);
}

/// A machine with an uplink by both IP versions, and the mesh's device.
struct Machine {
    Machine() {
        test::set_address("lan0", "192.0.2.7", "255.255.255.0");
        test::add_route("0.0.0.0", "0.0.0.0", "lan0");
        run("ip -6 address add 2001:db8::7/64 dev lan0 nodad");
        run("ip -6 route add default dev lan0");
        settle();
    }
    void settle() {
        auto addressing = tun::Addressing::open(device->index());
        const auto outcome =
            addressing->reconcile({{*net::IpAddress::parse("10.77.0.1"), *net::IpAddress::parse("fd12::1")}, {}});
        REQUIRE(outcome);
        CHECK(outcome->refused.empty());
    }

    net::Result<tun::Device> uplink = tun::Device::open({.name = "lan0"});
    std::optional<tun::Device> device = std::move(*tun::Device::open({}));
    std::size_t before = rules();
};

}  // namespace

TEST_CASE("all that is not marked and has no longer route goes into the device, until that is taken back") {
    if (!test::enter_own_network()) return;
    const Machine machine;
    auto exit = tun::ExitRouting::open(machine.device->index(), kMark);
    REQUIRE(exit);
    REQUIRE(exit->remove());
    CHECK(source_of_way(0) == "192.0.2.7");
    const auto first = exit->add();
    REQUIRE(first);
    CHECK(first->put == 8);
    CHECK(first->closed.empty());
    REQUIRE(exit->add());  // twice is once
    CHECK(rules() == machine.before + 4);
    for (const unsigned others : {0x100U, 0x6d00U, 0x6cU}) CHECK(source_of_way(others) == "10.77.0.1");
    CHECK(source_of_way(0, true) == "fd12::1");
    // Whatever somebody else keeps in the rest of the mark.
    for (const unsigned others : {0U, 0xff00U}) {
        CHECK(source_of_way(kMark.value | others) == "192.0.2.7");
        CHECK(source_of_way(kMark.value | others, true) == "2001:db8::7");
    }
    // A longer route, such as that of the LAN, stays.
    test::add_route("198.51.100.0", "255.255.255.0", "lan0");
    CHECK(source_of_way(0) == "192.0.2.7");
    REQUIRE(exit->remove());
    CHECK(rules() == machine.before);
}

TEST_CASE("what others take away of the way through the mesh is told, and put back") {
    if (!test::enter_own_network()) return;
    Machine machine;
    auto watch = tun::NetworkWatch::open(machine.device->index());
    auto exit = tun::ExitRouting::open(machine.device->index(), kMark);
    REQUIRE(exit->add());
    (void)watch->take();
    for (const auto* const command :
         {"ip rule del priority 27905", "ip rule del priority 27904", "ip -6 rule del priority 27905",
          "ip route del default dev mesh0 table 27904", "ip -6 route flush table 27904", "ip route flush table 27904",
          "ip rule flush && ip rule add priority 32766 lookup main"}) {
        CAPTURE(command);
        run(command);
        CHECK(watch->take().ours);
        const auto held = exit->hold();
        REQUIRE(held);
        CHECK(held->put > 0);
        CHECK(held->closed.empty());
        CHECK(source_of_way(0) == "10.77.0.1");
        CHECK(source_of_way(0, true) == "fd12::1");
        CHECK(source_of_way(kMark.value) == "192.0.2.7");
        (void)watch->take();
        CHECK(exit->hold()->put == 0);
        CHECK_FALSE(watch->take().ours);  // what stands is no news, or it would never end
    }
}

TEST_CASE("while the device is down nothing goes beside it, and all is put back once it is up") {
    if (!test::enter_own_network()) return;
    Machine machine;
    auto watch = tun::NetworkWatch::open(machine.device->index());
    auto exit = tun::ExitRouting::open(machine.device->index(), kMark);
    REQUIRE(exit->add());
    test::set_flags(machine.device->name(), 0);
    (void)watch->take();
    CHECK(source_of_way(0) == "none");
    CHECK(source_of_way(0, true) == "none");
    CHECK(source_of_way(kMark.value) == "192.0.2.7");
    const auto held = exit->hold();
    REQUIRE(held);
    CHECK(held->closed.size() == 2);  // and it says so
    test::set_flags(machine.device->name(), IFF_UP);
    CHECK(watch->take().ours);
    machine.settle();
    REQUIRE(exit->hold());
    CHECK(source_of_way(0) == "10.77.0.1");
    CHECK(source_of_way(0, true) == "fd12::1");
}

TEST_CASE("a crash leaves nothing that goes beside the mesh, and the next start takes it over or away") {
    if (!test::enter_own_network()) return;
    Machine machine;
    REQUIRE(tun::ExitRouting::open(machine.device->index(), {0x6d, 0xffffffff})->add());
    machine.device.reset();
    CHECK(source_of_way(0) == "none");
    CHECK(source_of_way(0, true) == "none");
    machine.device = std::move(*tun::Device::open({}));
    machine.settle();
    auto next = tun::ExitRouting::open(machine.device->index(), kMark);
    REQUIRE(next->add());
    CHECK(source_of_way(0) == "10.77.0.1");
    REQUIRE(next->remove());
    CHECK(rules() == machine.before);
    CHECK(source_of_way(0) == "192.0.2.7");
    CHECK(source_of_way(0, true) == "2001:db8::7");
}

TEST_CASE("a second meshd on the machine takes numbers of its own, and a fifth is told that there are no more") {
    if (!test::enter_own_network()) return;
    Machine machine;
    auto first = tun::ExitRouting::open(machine.device->index(), kMark);
    REQUIRE(first->add());
    std::vector<net::Result<tun::Device>> devices;
    std::vector<net::Result<tun::ExitRouting>> others;
    for (const auto* const name : {"mesh1", "mesh2", "mesh3", "mesh4"}) {
        devices.push_back(tun::Device::open({.name = name}));
        others.push_back(tun::ExitRouting::open(devices.back()->index(), kMark));
        REQUIRE(others.back()->remove());  // as at a start
        CHECK(source_of_way(0) == "10.77.0.1");
        if (others.size() < tun::kMostExits) {
            REQUIRE(others.back()->add());
            continue;
        }
        const auto refused = others.back()->add();
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().message, Catch::Contains("other meshds"));
    }
    CHECK(rules() == machine.before + 4 * tun::kMostExits);
    for (auto& other : others) REQUIRE(other->remove());
    CHECK(rules() == machine.before + 4);
    CHECK(first->hold()->put == 0);
}

TEST_CASE("IPv6 does not go beside the mesh where the device has none") {
    if (!test::enter_own_network()) return;
    const Machine machine;
    std::ofstream setting("/proc/sys/net/ipv6/conf/" + machine.device->name() + "/disable_ipv6");
    if (!(setting << 1).flush()) {
        WARN("SKIPPED: IPv6 cannot be switched off here");
        return;
    }
    auto exit = tun::ExitRouting::open(machine.device->index(), kMark);
    const auto held = exit->add();
    REQUIRE(held);
    REQUIRE(held->closed.size() == 1);
    CHECK_THAT(held->closed[0].message, Catch::Contains("IPv6"));
    CHECK(source_of_way(0) == "10.77.0.1");
    CHECK(source_of_way(0, true) == "none");
    CHECK(source_of_way(kMark.value, true) == "2001:db8::7");
}

TEST_CASE("only a kernel without an IP version is taken for one") {
    CHECK(tun::kernel_lacks_family(-NLE_AF_NOSUPPORT));
    CHECK(tun::kernel_lacks_family(-NLE_OPNOTSUPP));
    for (const int code : {0, -NLE_PERM, -NLE_NOACCESS, -NLE_NOMEM, -NLE_EXIST, -NLE_NODEV, -NLE_FAILURE, -NLE_INVAL}) {
        CHECK_FALSE(tun::kernel_lacks_family(code));
    }
}
