#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <thread>

#include "loop/clock.hpp"
#include "loop/file_descriptor.hpp"
#include "loop/socket_address.hpp"
#include "meshd/data_threads.hpp"
#include "net/checksum.hpp"
#include "tests/unit/tun/own_network.hpp"
#include "tests/unit/tun/packets.hpp"

namespace {

using namespace std::chrono_literals;

// Long enough for a machine that is busy with everything else; nothing here takes as long when it works.
constexpr auto kPatience = 20s;

net::Bytes ip_packet(std::string_view from, std::string_view to, std::uint16_t total_bytes) {
    net::Writer out;
    out.u8(0x45).u8(0).u16be(total_bytes).zeros(4).u8(64).u8(17).u16be(0);
    out.bytes(net::IpAddress::parse(from)->bytes()).bytes(net::IpAddress::parse(to)->bytes());
    while (out.size() < total_bytes) out.u8(static_cast<std::uint8_t>(out.size() & 0xff));
    return out.take();
}

/// A node whose TUN device is one end of a datagram socket pair; the test holds the other.
class Node {
public:
    explicit Node(std::uint64_t seed, meshd::DataThreads::Settings settings = {}) : random_(seed), wireguard(mesh::make_tunnel_secret(random_), random_, {}) {
        int pair[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
        // A superpacket must fit.
        const int room = 1 << 20;
        for (const int end : pair) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        queue_.emplace(pair[0]);
        application = loop::FileDescriptor(pair[1]);
        settings.max_frames = 64;
        settings.max_handshakes = 16;
        settings.wake = [this] {
            const std::lock_guard lock(mutex_);
            woken_ = true;
            condition_.notify_all();
        };
        threads = std::make_unique<meshd::DataThreads>(settings);
        threads->swap_table(wireguard.table());
        threads->start({&*queue_, 1}, {});
    }
    net::Endpoint endpoint(bool v6) const {
        auto out = *net::Endpoint::parse(v6 ? "[::1]:1" : "127.0.0.1:1");
        out.port = threads->port();
        return out;
    }
    void meet(const Node& peer, std::string_view allowed, bool v6) {
        mesh::PeerSettings settings;
        settings.key = peer.wireguard.own_key();
        settings.allowed_ips = {*net::Prefix::parse(allowed)};
        wireguard.set_peer(settings);
        wireguard.set_routes({{settings.allowed_ips[0], settings.key}});
        wireguard.set_endpoint(settings.key, peer.endpoint(v6));
    }
    /// Packets of more than some twice as many bytes do not fit the device.
    void narrow_device(int bytes) {
        REQUIRE(::setsockopt(queue_->fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0);
    }
    /// One turn of a control thread.
    void turn() {
        const auto now = loop::read_clocks();
        auto upward = threads->take();
        if (upward.tick) wireguard.tick(now);
        for (const auto& handshake : upward.handshakes) {
            wireguard.receive_handshake(handshake.bytes, handshake.from, now, upward.under_load);
        }
        for (const auto& packet : upward.packets) wireguard.send(packet.peer, packet.bytes, now);
        for (auto& frame : upward.frames) frames.push_back(std::move(frame));
        too_big.insert(too_big.end(), upward.too_big.begin(), upward.too_big.end());
        for (const auto& event : wireguard.take_events()) {
            if (const auto* const stamp = std::get_if<mesh::StampToPersist>(&event)) {
                wireguard.stamp_persisted(stamp->stamp);
                wireguard.tick(now);
            }
        }
        threads->swap_table(wireguard.table());
        for (const auto& datagram : wireguard.take_datagrams()) threads->send(datagram);
    }
    bool wait_for_wake(std::chrono::milliseconds most) {
        std::unique_lock lock(mutex_);
        const bool woken = condition_.wait_for(lock, most, [this] { return woken_; });
        woken_ = false;
        return woken;
    }
    /// False if the device's queue is full just now.
    bool try_write(net::ByteView packet, const tun::Offload& how = {}) {
        net::Bytes bytes(tun::Offload::kBytes);
        how.write(bytes);
        bytes.insert(bytes.end(), packet.begin(), packet.end());
        return ::write(application.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    }
    void write(net::ByteView packet, const tun::Offload& how = {}) { REQUIRE(try_write(packet, how)); }
    std::optional<net::Bytes> read() {
        net::Bytes buffer(tun::Offload::kBytes + 65536);
        const auto size = ::read(application.get(), buffer.data(), buffer.size());
        if (size < 0) return std::nullopt;
        REQUIRE(static_cast<std::size_t>(size) >= tun::Offload::kBytes);
        buffer.resize(static_cast<std::size_t>(size));
        offload = *tun::Offload::read(buffer);
        buffer.erase(buffer.begin(), buffer.begin() + tun::Offload::kBytes);
        return buffer;
    }

private:
    net::SeededRandom random_;
    std::mutex mutex_;
    std::condition_variable condition_;
    bool woken_ = false;
    std::optional<tun::Queue> queue_;

public:
    mesh::WireGuard wireguard;
    loop::FileDescriptor application;
    tun::Offload offload;  ///< of what was read last
    std::vector<meshd::Upward::ControlFrame> frames;
    std::vector<meshd::Upward::TooBig> too_big;
    std::unique_ptr<meshd::DataThreads> threads;  // last, so that it stops first
};

struct Two {
    explicit Two(bool v6, const meshd::DataThreads::Settings& settings = {}) : alice(1, settings), bob(2, settings) {
        alice.meet(bob, "10.0.0.2/32", v6);
        bob.meet(alice, "10.0.0.1/32", v6);
        alice.turn();
        bob.turn();
    }
    template <class Done>
    bool work_until(Done done) {
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!done()) {
            if (std::chrono::steady_clock::now() > end) return false;
            if (!alice.wait_for_wake(1ms)) bob.wait_for_wake(1ms);
            alice.turn();
            bob.turn();
        }
        return true;
    }
    Node alice, bob;
};

}  // namespace

namespace {

/// How many of this process's threads are scheduled as batch jobs.
std::size_t batch_threads() {
    std::size_t count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (::sched_getscheduler(std::stoi(task.path().filename())) == SCHED_BATCH) ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("a thread that carries voice is no batch job") {
    mesh::start_crypto();
    meshd::DataThreads::Settings settings;
    settings.single = GENERATE(false, true);
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    two.bob.write(ip_packet("10.0.0.2", "10.0.0.1", 100));
    REQUIRE(two.work_until([&] { return two.alice.read().has_value(); }));  // by now all that carry bulk have begun
    // These devices have one queue, which voice shares: only what receives bulk is a thread of bulk alone.
    CHECK(two.alice.threads->steers_voice());
    CHECK(batch_threads() == (settings.single ? 0 : 2));
}

TEST_CASE("packets pass from device to device through two real sockets") {
    mesh::start_crypto();
    const bool v6 = GENERATE(false, true);
    Two two(v6);
    if (v6 && !two.alice.threads->has_ipv6()) return;
    const auto there = ip_packet("10.0.0.1", "10.0.0.2", 1420), back = ip_packet("10.0.0.2", "10.0.0.1", 21);
    two.alice.write(there);
    std::optional<net::Bytes> arrived;
    REQUIRE(two.work_until([&] { return (arrived = two.bob.read()).has_value(); }));
    CHECK(*arrived == there);
    two.bob.write(back);
    REQUIRE(two.work_until([&] { return (arrived = two.alice.read()).has_value(); }));
    CHECK(*arrived == back);

    two.alice.wireguard.send(two.bob.wireguard.own_key(), net::as_bytes("\x01hello"), loop::read_clocks());
    REQUIRE(two.work_until([&] { return !two.bob.frames.empty(); }));
    CHECK(two.bob.frames[0].peer == two.alice.wireguard.own_key());
    CHECK(two.bob.frames[0].from == two.alice.endpoint(v6));
}

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
    meshd::DataThreads::Settings settings;
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

TEST_CASE("tables are swapped and sessions renewed while packets flow") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    std::size_t arrived = 0;
    for (int i = 0; i < 200 || arrived < 1000; ++i) {
        REQUIRE(i < 100000);
        for (int k = 0; k < 10; ++k) {
            two.alice.try_write(ip_packet("10.0.0.1", "10.0.0.2", 100));
            two.bob.try_write(ip_packet("10.0.0.2", "10.0.0.1", 100));
            while (two.alice.read()) {
            }
        }
        if (i % 40 == 20) two.alice.wireguard.rekey(two.bob.wireguard.own_key(), loop::read_clocks());
        two.alice.wireguard.set_routes({{*net::Prefix::parse("10.0.0.2/32"), two.bob.wireguard.own_key()}});
        two.alice.turn();
        two.bob.turn();
        while (two.bob.read()) ++arrived;
    }
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::not_authentic) == 0);
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::replayed) == 0);
}

TEST_CASE("strangers fill their own queue only, are counted, and put us under load") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    net::Bytes message(mesh::kInitiationBytes);
    message[0] = std::byte{1};
    mesh::CookieJar(two.bob.wireguard.own_key()).put_macs(message, {});
    const auto full = [&] { return two.bob.wireguard.drops().get(mesh::Drop::stranger_queue_full) > 0; };
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!full() && std::chrono::steady_clock::now() < end) {
        two.alice.threads->send({two.bob.endpoint(false), message});
    }
    REQUIRE(full());
    two.alice.wireguard.send(two.bob.wireguard.own_key(), net::as_bytes("\x01hello"), loop::read_clocks());
    two.alice.turn();
    meshd::Upward upward = two.bob.threads->take();
    CHECK(upward.under_load);
    CHECK(upward.handshakes.size() == 16);
    REQUIRE(two.work_until([&] { return !two.bob.frames.empty() || !upward.frames.empty(); }));
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

    ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_mtu = 1400;
    const loop::FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM, 0));
    REQUIRE(::ioctl(socket.get(), SIOCSIFMTU, &request) == 0);
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

TEST_CASE("nothing is sent into the overlay") {
    mesh::start_crypto();
    Two two(false);
    two.alice.wireguard.set_overlay({*net::Prefix::parse("127.0.0.0/8")});
    two.alice.turn();
    two.alice.threads->send({two.bob.endpoint(false), net::Bytes(100)});
    CHECK(two.alice.wireguard.drops().get(mesh::Drop::underlay_loop) == 1);
}

TEST_CASE("a superpacket crosses in segments and is put together again, under both ciphers, with offloads and without") {
    mesh::start_crypto();
    meshd::DataThreads::Settings settings;
    settings.single = GENERATE(false, true);
    settings.udp_offloads = GENERATE(true, false);
    const bool aes = GENERATE(false, true);
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    if (aes) two.alice.wireguard.allow_aes(two.bob.wireguard.own_key());

    test::Packet packet;
    packet.payload.resize(20000);
    for (std::size_t i = 0; i < packet.payload.size(); ++i) packet.payload[i] = static_cast<std::byte>(i * 7 & 0xff);
    tun::Offload offload;
    offload.gso = tun::Gso::tcp4;
    offload.needs_checksum = true;
    offload.segment_bytes = 1360;
    offload.header_bytes = 40;
    offload.checksum_start = 20;
    offload.checksum_offset = 16;
    two.alice.write(packet.bytes(test::Packet::Checksum::pseudo_header), offload);

    // The bursts at the other end may divide it otherwise; together it is what was sent.
    net::Bytes payload;
    std::size_t superpackets = 0;
    REQUIRE(two.work_until([&] {
        while (const auto part = two.bob.read()) {
            if (part->size() > 1400) {
                ++superpackets;
                CHECK(two.bob.offload.gso == tun::Gso::tcp4);
            }
            if (aes) CHECK(two.bob.offload.needs_checksum);
            CHECK(net::Reader(net::ByteView(*part).subspan(24)).u32be() == payload.size());  // TCP's sequence
            payload.insert(payload.end(), part->begin() + 40, part->end());
        }
        return payload.size() >= packet.payload.size();
    }));
    CHECK(payload == packet.payload);
    // One send of UDP_SEGMENT is one receive of UDP_GRO, on the loopback interface.
    if (two.alice.threads->sends_segments() && two.bob.threads->receives_merged()) CHECK(superpackets > 0);
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::device_error) == 0);
}

namespace {

/// Runs `work` on a thread for which, and for those that it starts, the kernel refuses one system call. `third`: only
/// where this is its third argument.
template <class Work>
void where_refused(long call, std::optional<std::uint32_t> third, int error, Work work) {
    constexpr std::uint32_t kThirdArgument = offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t);
    std::exception_ptr failure;
    std::thread([&] {
        std::vector<sock_filter> program{
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, static_cast<std::uint8_t>(third ? 3 : 1))};
        if (third) {
            program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kThirdArgument));
            program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, *third, 0, 1));
        }
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
        try {
            REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
            REQUIRE(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
            work();
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) std::rethrow_exception(failure);
}

std::vector<mesh::Datagram> train_to(const net::Endpoint& to) {
    return std::vector<mesh::Datagram>(8, mesh::Datagram{.to = to, .bytes = net::Bytes(1200), .train = 1});
}

}  // namespace

TEST_CASE("a train that does not leave in one send is told so") {
    mesh::start_crypto();
    const Two two(false);
    const auto train = train_to(two.bob.endpoint(false));
    CHECK(two.alice.threads->send_train(train));
    for (const int error : {EAGAIN, EIO, EINVAL, ENOBUFS}) {
        CAPTURE(error);
        where_refused(SYS_sendmmsg, {}, error, [&] { CHECK_FALSE(two.alice.threads->send_train(train)); });
    }
    CHECK(two.alice.threads->send_train(train));
}

TEST_CASE("a kernel that refuses segments is asked again only when somebody says so, and a switch changes its own only") {
    mesh::start_crypto();
    where_refused(SYS_sendmmsg, {}, EIO, [] {
        Two two(false);
        auto& threads = *two.alice.threads;
        CHECK(threads.sends_segments());
        const auto passes = [&] {
            two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
            REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
        };
        passes();
        passes();  // the first one went up, to wait for a session
        CHECK_FALSE(threads.sends_segments());
        CHECK(threads.udp_offloads());
        threads.set_coalescing(true, true);
        CHECK_FALSE(threads.sends_segments());
        threads.retry_segments();
        CHECK(threads.sends_segments());
        passes();
        CHECK_FALSE(threads.sends_segments());
        threads.set_udp_offloads(false);
        CHECK_FALSE(threads.receives_merged());
        threads.retry_segments();
        CHECK_FALSE(threads.sends_segments());
        threads.set_udp_offloads(true);
        CHECK(threads.sends_segments());
        CHECK(threads.receives_merged());
        passes();
    });
}

TEST_CASE("packets are joined no longer once the device has refused a few that were, of that kind only") {
    mesh::start_crypto();
    Two two(false);
    two.bob.narrow_device(6000);
    const auto passes = [&] {
        two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
        REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    };
    passes();
    auto& threads = *two.bob.threads;
    CHECK((threads.joins_tcp() && threads.joins_udp()));
    test::Packet packet;
    packet.payload.resize(20000);
    tun::Offload offload;
    offload.gso = tun::Gso::tcp4;
    offload.needs_checksum = true;
    offload.segment_bytes = 1000;
    offload.header_bytes = 40;
    offload.checksum_start = 20;
    offload.checksum_offset = 16;
    const auto large = packet.bytes(test::Packet::Checksum::pseudo_header);
    REQUIRE(two.work_until([&] {
        two.alice.try_write(large, offload);
        while (two.bob.read()) {
        }
        return !threads.joins_tcp();
    }));
    CHECK(threads.joins_udp());
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::device_error) >= meshd::InboundLane::kMostRefused);
    passes();
    threads.set_coalescing(true, true);
    CHECK(threads.joins_tcp());
}

TEST_CASE("what the kernel does not merge is not said to come merged") {
    mesh::start_crypto();
    where_refused(SYS_setsockopt, UDP_GRO, ENOPROTOOPT, [] {
        Two two(false);
        CHECK(two.alice.threads->udp_offloads());
        CHECK_FALSE(two.alice.threads->receives_merged());
        two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
        REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    });
}

TEST_CASE("voice does not wait for the uplink behind bulk, where it comes out of the same queue too") {
    mesh::start_crypto();
    meshd::DataThreads::Settings settings;
    settings.single = GENERATE(false, true);
    settings.uplink_bytes_per_s = 1000;  // a packet of bulk takes longer than any pause of this test
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    auto voice = ip_packet("10.0.0.1", "10.0.0.2", 200);
    voice[1] = std::byte{46 << 2};
    for (int i = 0; i < 12; ++i) two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 1400));
    two.alice.write(voice);
    int before = 0;
    REQUIRE(two.work_until([&] {
        while (const auto packet = two.bob.read()) {
            if (*packet == voice) return true;
            ++before;
        }
        return false;
    }));
    CHECK(before < 8);
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));  // bulk goes on
}

TEST_CASE("the DSCP of voice is shown outside, that of the rest only where all are, the mark of congestion always") {
    mesh::start_crypto();
    meshd::DataThreads::Settings settings;
    settings.dscp = GENERATE(net::OuterDscp::voice, net::OuterDscp::copy);
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    auto watcher = loop::Datagram::open(*net::Endpoint::parse("127.0.0.1:0"));
    REQUIRE(watcher);
    two.alice.wireguard.set_endpoint(two.bob.wireguard.own_key(), watcher->local());
    two.alice.turn();
    loop::ReceiveBurst burst;
    const auto shown = [&](std::uint8_t traffic_class) {
        auto packet = ip_packet("10.0.0.1", "10.0.0.2", 100);
        packet[1] = std::byte{traffic_class};
        two.alice.write(packet);
        std::optional<int> seen;
        REQUIRE(two.work_until([&] {
            for (const auto& item : burst.receive(*watcher)) seen = item.traffic_class;
            return seen.has_value();
        }));
        return *seen;
    };
    constexpr std::uint8_t kVoice = 46 << 2 | 2, kBulk = 10 << 2 | 1;
    CHECK(shown(kVoice) == kVoice);
    CHECK(shown(kBulk) == (settings.dscp == net::OuterDscp::copy ? kBulk : 1));
}

namespace {

/// A router on the way from one node to the other, which marks what it passes on as congested.
class Marking {
public:
    Marking(Node& from, const net::Endpoint& to, const net::TunnelKey& peer)
        : socket_(*loop::Datagram::open(*net::Endpoint::parse("127.0.0.1:0"))), to_(to) {
        from.wireguard.set_endpoint(peer, socket_.local());
        from.turn();
    }
    std::size_t pass_on() {
        std::size_t passed = 0;
        for (const auto& item : incoming_.receive(socket_)) {
            CHECK(net::ecn_of(item.traffic_class) != net::Ecn::ce);
            std::copy(item.bytes.begin(), item.bytes.end(), outgoing_.room(item.bytes.size()).begin());
            outgoing_.add(to_, static_cast<std::uint8_t>(net::Ecn::ce), item.bytes.size(), true);
            ++passed;
        }
        REQUIRE(outgoing_.send(&socket_, nullptr, 1s) == 0);
        return passed;
    }

private:
    loop::Datagram socket_;
    net::Endpoint to_;
    loop::ReceiveBurst incoming_;
    loop::SendBurst outgoing_;
};

}  // namespace

TEST_CASE("a mark of congestion on the way reaches the packet inside, or drops one whose sender knows no marks") {
    mesh::start_crypto();
    Two two(false);
    auto packet = ip_packet("10.0.0.1", "10.0.0.2", 100);
    two.alice.write(packet);
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    Marking way(two.alice, two.bob.endpoint(false), two.bob.wireguard.own_key());
    const auto congested = [&] { return two.bob.wireguard.drops().get(mesh::Drop::congested); };

    net::set_ecn(packet, net::Ecn::ect0);
    two.alice.write(packet);
    std::optional<net::Bytes> arrived;
    REQUIRE(two.work_until([&] {
        way.pass_on();
        return (arrived = two.bob.read()).has_value();
    }));
    CHECK(net::ecn_of(net::traffic_class_of(*arrived)) == net::Ecn::ce);
    net::set_ecn(packet, net::Ecn::ce);
    CHECK(*arrived == packet);  // its checksum, too
    CHECK(congested() == 0);

    net::set_ecn(packet, net::Ecn::not_ect);
    two.alice.write(packet);
    REQUIRE(two.work_until([&] {
        way.pass_on();
        return congested() > 0;
    }));
    CHECK(congested() == 1);
    CHECK_FALSE(two.bob.read());
}

TEST_CASE("what a socket has no room for is counted") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    const auto sender = *loop::Datagram::open(*net::Endpoint::parse("127.0.0.1:0"));
    net::Bytes junk(60000);
    const auto counted = [&] { return two.bob.wireguard.drops().get(mesh::Drop::receive_buffer_full) > 0; };
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!counted() && std::chrono::steady_clock::now() < end) {
        two.bob.threads->swap_table(two.bob.wireguard.table());
        for (int i = 0; i < 1000; ++i) (void)sender.send(two.bob.endpoint(false), junk);
    }
    CHECK(counted());
}

TEST_CASE("stopping twice does no harm, and a device that is gone ends nothing else") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    two.bob.application = loop::FileDescriptor();
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.wireguard.drops().get(mesh::Drop::device_error) == 1; }));
    two.alice.wireguard.send(two.bob.wireguard.own_key(), net::as_bytes("\x01hello"), loop::read_clocks());
    REQUIRE(two.work_until([&] { return !two.bob.frames.empty(); }));
    two.bob.threads->stop();
    two.bob.threads->stop();
}

TEST_CASE("a port that is taken is an error that says what to do") {
    meshd::DataThreads first({});
    meshd::DataThreads::Settings settings;
    settings.port = first.port();
    CHECK_THROWS_WITH(meshd::DataThreads(settings), Catch::Contains("another program has this port"));
}
