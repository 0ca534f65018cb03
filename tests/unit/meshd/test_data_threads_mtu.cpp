#include <thread>

#include "loop/socket_address.hpp"
#include "net/checksum.hpp"
#include "tests/unit/tun/own_network.hpp"
#include "tests/unit/tun/packets.hpp"
#include "two_nodes.hpp"

using test::ip_packet;
using test::Two;
using namespace std::chrono_literals;

TEST_CASE("a connection's MSS is lowered to its peer's path, on the way out and on the way in") {
    mesh::start_crypto();
    Two two(false);
    const bool out = GENERATE(true, false);
    auto& whose = out ? two.alice : two.bob;
    whose.wireguard.set_path_mtu((out ? two.bob : two.alice).wireguard.own_key(), 1064);
    test::Packet syn;
    syn.flags = test::kSyn;
    syn.tcp_options = {std::byte{2}, std::byte{4}, std::byte{5}, std::byte{180}};
    const auto sent = syn.bytes();
    syn.tcp_options = {std::byte{2}, std::byte{4}, std::byte{4}, std::byte{0}};  // 1024
    two.alice.turn();
    two.bob.turn();
    two.alice.write(sent);
    std::optional<net::Bytes> arrived;
    REQUIRE(two.work_until([&] { return (arrived = two.bob.read()).has_value(); }));
    CHECK(*arrived == syn.bytes());
}

TEST_CASE("a packet larger than its peer's path that must not be fragmented comes back as an ICMP error") {
    mesh::start_crypto();
    const bool shaped = GENERATE(false, true);
    auto settings = test::each_number_of_queues();
    if (shaped) settings.uplink_bytes_per_s = 1'000'000;
    Two two(false, settings);
    two.alice.wireguard.set_path_mtu(two.bob.wireguard.own_key(), 1064);
    two.alice.turn();
    auto packet = ip_packet("10.0.0.1", "10.0.0.2", 1065);
    packet[6] = std::byte{0x40};
    two.alice.write(packet);
    std::optional<net::Bytes> answer;
    REQUIRE(two.work_until([&] { return (answer = two.alice.read()).has_value(); }));
    REQUIRE(answer->size() == 576);
    CHECK(net::Reader(net::ByteView(*answer).subspan(20)).u16be() == 0x0304);
    CHECK(net::Reader(net::ByteView(*answer).subspan(26)).u16be() == 1064);
    CHECK(two.alice.wireguard.drops().get(mesh::Drop::path_mtu) == 1);
    packet[6] = std::byte{0};  // this one may be
    two.alice.write(packet);
    std::optional<net::Bytes> arrived;
    REQUIRE(two.work_until([&] { return (arrived = two.bob.read()).has_value(); }));
    CHECK(*arrived == packet);
}

namespace {

/// As a router would: what was sent from `from` to `to`, both of the loopback interface, does not fit `mtu_bytes`.
bool forge_too_big(const net::Endpoint& from, const net::Endpoint& to, std::uint16_t mtu_bytes) {
    const bool v6 = to.address.is_v6();
    net::Writer out;
    if (v6) {
        out.u8(2).u8(0).u16be(0).u32be(mtu_bytes);                               // RFC 4443 section 3.2
        out.u32be(0x60000000).u16be(1300).u8(17).u8(64);
    } else {
        out.u8(3).u8(4).u16be(0).u16be(0).u16be(mtu_bytes);                      // RFC 1191 section 4
        out.u8(0x45).u8(0).u16be(1320).u32be(0x00004000).u8(64).u8(17).u16be(0);
    }
    out.bytes(from.address.bytes()).bytes(to.address.bytes());
    out.u16be(from.port).u16be(to.port).u16be(1300).u16be(0);
    auto message = out.take();
    if (!v6) {
        const auto sum = net::checksum_finish(net::checksum_add(message));
        message[2] = static_cast<std::byte>(sum >> 8);
        message[3] = static_cast<std::byte>(sum & 0xff);
    }
    const loop::FileDescriptor socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW, v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
    const auto address = loop::to_socket_address({to.address, 0});
    return ::sendto(socket.get(), message.data(), message.size(), 0, address.get(), address.length) ==
           static_cast<ssize_t>(message.size());
}

/// Of the test's own network.
void set_loopback_mtu(int bytes) {
    ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_mtu = bytes;
    const loop::FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM, 0));
    REQUIRE(::ioctl(socket.get(), SIOCSIFMTU, &request) == 0);
}

}  // namespace

TEST_CASE("what a router or this machine finds too big reaches the control thread") {
    mesh::start_crypto();
    if (!test::enter_own_network()) return;
    const bool v6 = GENERATE(false, true);
    Two two(v6);
    if (v6 && !two.alice.threads->has_ipv6()) return;
    const auto from = two.alice.endpoint(v6), to = two.bob.endpoint(v6);
    mesh::Datagram probe{.to = to, .bytes = net::Bytes(1300), .never_fragment = true};
    REQUIRE(two.alice.threads->send(probe));
    REQUIRE(forge_too_big(from, to, 1280));
    REQUIRE(two.work_until([&] { return !two.alice.too_big.empty(); }));
    CHECK(two.alice.too_big[0].to == to);
    CHECK(two.alice.too_big[0].underlay_bytes == 1280);

    set_loopback_mtu(1400);
    probe.bytes.resize(1401 - (v6 ? 48 : 28));
    CHECK_FALSE(two.alice.threads->send(probe));
    probe.bytes.pop_back();
    CHECK(two.alice.threads->send(probe));
    probe.never_fragment = false;
    probe.bytes.resize(2000);
    CHECK(two.alice.threads->send(probe));
}

TEST_CASE("a burst is one send, and a probe leaves, though somebody forges \"too big\" all the time") {
    if (!test::enter_own_network()) return;
    const bool v6 = GENERATE(false, true);
    const auto any = *net::Endpoint::parse(v6 ? "[::1]:0" : "127.0.0.1:0");
    auto receiver = loop::Datagram::open(any, {.receive_buffer_bytes = 1 << 20, .receive_offload = true});
    auto sender = loop::Datagram::open(any);
    if (!receiver || !sender) return;
    const auto to = receiver->local();
    loop::SendBurst sends;
    loop::ReceiveBurst received;
    for (int i = 0; i < 20; ++i) {
        std::fill_n(sends.room(1000).begin(), 1000, std::byte{1});
        sends.add(to, 0, 1000);
    }
    REQUIRE(forge_too_big(sender->local(), to, 1280));
    REQUIRE(sends.send(&*sender, &*sender, 1s) == 0);
    pollfd wait{receiver->fd(), POLLIN, 0};
    REQUIRE(::poll(&wait, 1, 20000) == 1);
    const auto items = received.receive(*receiver);
    REQUIRE(items.size() == 1);
    CHECK(items[0].bytes.size() == 20000);

    // Over IPv6 the kernel believes it, and sends fragments one by one; all arrive.
    for (int i = 0; i < 20; ++i) {
        std::fill_n(sends.room(1400).begin(), 1400, std::byte{1});
        sends.add(to, 0, 1400);
    }
    CHECK(sends.send(&*sender, &*sender, 1s) == 0);
    std::size_t arrived = 0;
    while (arrived < 28000) {
        REQUIRE(::poll(&wait, 1, 20000) == 1);
        for (const auto& item : received.receive(*receiver)) arrived += item.bytes.size();
    }
    CHECK(arrived == 28000);

    // Unless the way is known to take them; and if the interface takes them no more, they go in fragments all the same.
    for (const bool narrow : {false, true}) {
        set_loopback_mtu(narrow ? 1300 : 65536);
        for (int i = 0; i < 20; ++i) {
            std::fill_n(sends.room(1400).begin(), 1400, std::byte{1});
            sends.add(to, 0, 1400, {.whole = true});
        }
        CHECK(sends.send(&*sender, &*sender, 1s) == 0);
        CHECK(sends.left_whole() != narrow);
        for (arrived = 0; arrived < 28000;) {
            REQUIRE(::poll(&wait, 1, 20000) == 1);
            for (const auto& item : received.receive(*receiver)) arrived += item.bytes.size();
        }
        CHECK(arrived == 28000);
    }
    set_loopback_mtu(65536);  // for the tests that follow

    // One error pends before the first attempt, another before the second, as taking one off the queue sets the next.
    std::atomic<bool> stop{false};
    std::thread forger([&] {
        while (!stop) (void)forge_too_big(sender->local(), to, 1280);
    });
    std::thread taker([&] {
        while (!stop) (void)sender->take_error();
    });
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
        refused += sender->send_whole(to, net::Bytes(500)) == loop::SendResult::too_big ? 1 : 0;
        (void)received.receive(*receiver);
    }
    stop = true;
    forger.join();
    taker.join();
    CHECK(refused == 0);
}
