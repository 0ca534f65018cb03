// The device with offloads, against the kernel's own TCP and UDP.

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <sys/syscall.h>

#include <set>
#include <thread>

#include "net/packet.hpp"
#include "own_network.hpp"
#include "packets.hpp"
#include "tun/addressing.hpp"
#include "tun/device.hpp"
#include "tun/probe.hpp"

using tun::Device;
using tun::Gso;
using tun::Offload;

namespace {

constexpr int kUdpSegment = 103;  // UDP_SEGMENT: Debian's netinet/udp.h does not know it

/// A device with addresses, and the network behind it.
struct Here {
    explicit Here(Device::Settings settings) {
        open(settings, {{address("10.77.0.1"), address("fd77::1")}, {prefix("10.77.0.0/16"), prefix("fd77::/64")}});
    }
    /// Only two hosts are behind it.
    Here(Device::Settings settings, const char* host4, const char* host6, const char* own) {
        open(settings, {{address(own)}, {net::Prefix(address(host4), 32), net::Prefix(address(host6), 128)}});
    }

    static net::IpAddress address(const char* text) { return *net::IpAddress::parse(text); }
    static net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }

    void open(Device::Settings settings, const tun::Wanted& wanted) {
        auto opened = Device::open(settings);
        if (!opened) FAIL(opened.error().message);
        device.emplace(std::move(*opened));
        auto addressing = tun::Addressing::open(device->index());
        REQUIRE(addressing);
        const auto outcome = addressing->reconcile(wanted);
        REQUIRE(outcome);
        REQUIRE(outcome->refused.empty());
    }

    std::optional<Device> device;
};

struct SocketAddress {
    SocketAddress(bool v6, const char* host, std::uint16_t port) {
        if (v6) {
            auto& in = reinterpret_cast<sockaddr_in6&>(storage);
            in.sin6_family = AF_INET6;
            in.sin6_port = htons(port);
            REQUIRE(::inet_pton(AF_INET6, host, &in.sin6_addr) == 1);
            size = sizeof in;
        } else {
            auto& in = reinterpret_cast<sockaddr_in&>(storage);
            in.sin_family = AF_INET;
            in.sin_port = htons(port);
            REQUIRE(::inet_pton(AF_INET, host, &in.sin_addr) == 1);
            size = sizeof in;
        }
    }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sockaddr_storage storage{};
    socklen_t size = 0;
};

struct Socket {
    Socket(bool v6, int type) : fd(::socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0)) { REQUIRE(fd >= 0); }
    ~Socket() { ::close(fd); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    void set(int level, int option, int value) { REQUIRE(::setsockopt(fd, level, option, &value, sizeof value) == 0); }
    int fd;
};

/// Sends back what comes out of the device with source and destination exchanged, which changes no checksum: so this
/// machine talks to itself through splitter and coalescer.
class Mirror {
public:
    Mirror(Device& device, tun::Splitter::Checksums checksums)
        : device_(device), checksums_(checksums), thread_([this] { run(); }) {}
    ~Mirror() {
        stop_ = true;
        thread_.join();
    }
    std::atomic<std::size_t> superpackets_in = 0, superpackets_out = 0, bad = 0, largest = 0;

private:
    struct Counted final : tun::PacketSink {
        Counted(tun::Queue& to, Mirror& of) : queue(to), mirror(of) {}
        void write(const Offload& offload, std::span<const net::ByteView> pieces) override {
            if (offload.gso != Gso::none) ++mirror.superpackets_out;
            queue.write(offload, pieces);
        }
        tun::Queue& queue;
        Mirror& mirror;
    };

    void run() {
        auto& queue = device_.queues()[0];
        Counted sink(queue, *this);
        tun::Coalescer coalescer({});
        net::Bytes buffer(tun::Queue::kBufferBytes);
        while (!stop_) {
            pollfd entry{queue.fd(), POLLIN, 0};
            ::poll(&entry, 1, 20);
            std::vector<net::Bytes> kept;
            for (int i = 0; i < 8; ++i) {
                const auto received = queue.read(buffer);
                if (!received) break;
                if (received->offload.gso != Gso::none) ++superpackets_in;
                if (received->size > largest) largest = received->size;
                auto splitter =
                    tun::Splitter::open(received->offload, net::ByteView(buffer).first(received->size), checksums_);
                if (!splitter) ++bad;
                while (splitter) {
                    const auto segment = splitter->next();
                    if (!segment) break;
                    kept.push_back(net::Writer().bytes(segment->header).bytes(segment->payload).take());
                    auto& packet = kept.back();
                    const bool v6 = std::to_integer<unsigned>(packet[0]) >> 4 == 6;
                    const auto source = packet.begin() + (v6 ? 8 : 12);
                    std::swap_ranges(source, source + (v6 ? 16 : 4), source + (v6 ? 16 : 4));
                    coalescer.add(packet, splitter->checksums_left(), sink);
                }
            }
            coalescer.flush(sink);
        }
    }

    Device& device_;
    tun::Splitter::Checksums checksums_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

/// What waits, split. Of the kernel's own (it reports what it listens to) nothing.
void read_waiting(tun::Queue& queue, std::vector<net::Bytes>& out) {
    net::Bytes buffer(tun::Queue::kBufferBytes);
    while (const auto received = queue.read(buffer)) {
        const auto packet = net::ByteView(buffer).first(received->size);
        const auto header = net::parse_ip(packet);
        if (header && header->protocol != test::kTcp && header->protocol != test::kUdp) continue;
        const auto parts = test::split(received->offload, packet);
        REQUIRE(!parts.empty());
        out.insert(out.end(), parts.begin(), parts.end());
    }
}

/// Waits for so many packets.
std::vector<net::Bytes> read_all(tun::Queue& queue, std::size_t count) {
    std::vector<net::Bytes> out;
    while (out.size() < count && test::readable(queue.fd())) read_waiting(queue, out);
    return out;
}

}  // namespace

TEST_CASE("what the kernel offers is turned on, and off again") {
    if (!test::enter_own_network()) return;
    Here here({});
    const auto all = here.device->offloads();
    CHECK(all.checksum);
    CHECK(all.tcp);
    CHECK(here.device->set_offloads({true, false, false}));
    CHECK(here.device->offloads() == tun::Offloads{true, false, false});
    CHECK_FALSE(here.device->set_offloads({false, true, false}));
    CHECK(here.device->offloads() == tun::Offloads{true, false, false});
    CHECK(here.device->set_offloads({}));
    CHECK(here.device->set_offloads(all));
    CHECK(here.device->queues()[0].refused() == 0);  // the start-up probe is not counted

    Here without({.name = "plain0", .offloads = false});
    CHECK(without.device->offloads() == tun::Offloads{});
    CHECK(without.device->available() == all);
}

TEST_CASE("a kernel that refuses a superpacket is noticed") {
    if (!test::enter_own_network()) return;
    const auto queue_of_a_device = [](int flags) {
        const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        ifreq request{};
        request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | flags);
        REQUIRE(::ioctl(fd, TUNSETIFF, &request) == 0);
        return tun::Queue(fd);
    };
    const auto takes = queue_of_a_device(IFF_VNET_HDR);
    CHECK(tun::takes_superpackets(takes.fd(), Gso::tcp4));
    CHECK(tun::takes_superpackets(takes.fd(), Gso::tcp6));
    CHECK(tun::takes_superpackets(takes.fd(), Gso::udp, true) == tun::takes_superpackets(takes.fd(), Gso::udp));
    const auto refuses = queue_of_a_device(0);  // takes our Offload for a packet of no version
    CHECK_FALSE(tun::takes_superpackets(refuses.fd(), Gso::tcp4));
    CHECK_FALSE(tun::takes_superpackets(refuses.fd(), Gso::tcp6));
    CHECK_FALSE(tun::takes_superpackets(refuses.fd(), Gso::udp));
    CHECK_FALSE(tun::takes_superpackets(refuses.fd(), Gso::udp, true));
}

TEST_CASE("a superpacket that is written arrives as its datagrams, and one that is sent is read") {
    if (!test::enter_own_network()) return;
    Here here({});
    if (!here.device->offloads().udp) {
        WARN("SKIPPED: this kernel has no superpackets of UDP");
        return;
    }
    Socket socket(false, SOCK_DGRAM);
    const SocketAddress own(false, "10.77.0.1", 2000), peer(false, "10.77.0.2", 1000);
    REQUIRE(::bind(socket.fd, own.get(), own.size) == 0);
    net::SeededRandom random(5);
    test::Packet packet;
    packet.protocol = test::kUdp;
    packet.source = 0x0a4d0002;
    packet.destination = 0x0a4d0001;
    packet.payload = test::random_bytes(random, 2500);
    test::write(here.device->queues()[0], packet.offload(1000), packet.bytes(test::Packet::Checksum::pseudo_header));
    CHECK(here.device->queues()[0].refused() == 0);
    net::Bytes got(3000);
    for (const auto& segment : test::segments_of(packet, 1000)) {
        REQUIRE(test::readable(socket.fd));
        const auto size = ::recv(socket.fd, got.data(), got.size(), 0);
        CHECK((net::copy(net::ByteView(got).first(static_cast<std::size_t>(size))) == segment.payload));
    }

    socket.set(IPPROTO_UDP, kUdpSegment, 1000);
    REQUIRE(::sendto(socket.fd, packet.payload.data(), 2500, 0, peer.get(), peer.size) == 2500);
    net::Bytes buffer(tun::Queue::kBufferBytes);
    std::optional<tun::Queue::Received> received;
    do {  // the kernel may report what it listens to
        REQUIRE(test::readable(here.device->fd()));
        received = here.device->queues()[0].read(buffer);
        REQUIRE(received);
    } while (net::parse_ip(net::ByteView(buffer).first(received->size))->protocol != test::kUdp);
    CHECK(received->offload.gso == Gso::udp);
    CHECK(received->offload.segment_bytes == 1000);
    const auto parts = test::split(received->offload, net::ByteView(buffer).first(received->size));
    const auto wanted = test::segments_of(packet, 1000);
    REQUIRE(parts.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK((net::copy(net::ByteView(parts[i]).subspan(28)) == wanted[i].payload));
        CHECK(test::slow_checksum(net::ByteView(parts[i]).first(20)) == 0);
        const auto transport = net::ByteView(parts[i]).subspan(20);
        // The sum of both addresses is the same the other way round.
        CHECK(test::slow_checksum(transport, packet.pseudo_header(transport.size())) == 0);
    }
}

TEST_CASE("the kernel cuts superpackets into the same segments") {
    if (!test::enter_own_network()) return;
    for (const char* const setting : {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}) {
        const int fd = ::open(setting, O_WRONLY | O_CLOEXEC);
        const bool set = fd >= 0 && ::write(fd, "1", 1) == 1;
        if (fd >= 0) ::close(fd);
        if (!set) {
            WARN("SKIPPED: forwarding cannot be turned on here");
            return;
        }
    }
    // It forwards from one device to another that takes no superpackets, and so has to do our work.
    Here from({.name = "from"}, "10.0.0.1", "fd00::a00:1", "10.88.0.1"),
        to({.name = "to", .offloads = false}, "10.0.0.2", "fd00::a00:2", "10.89.0.1");
    net::SeededRandom random(11);
    for (int i = 0; i < 200; ++i) {
        auto packet = test::random_header(random);
        if (packet.protocol == test::kUdp && !from.device->offloads().udp) continue;
        packet.hops = static_cast<std::uint8_t>(std::max<int>(packet.hops, 2));
        packet.flags = static_cast<std::uint8_t>(random.u64());
        const std::size_t segment_bytes = 1 + random.below(1300);
        packet.payload = test::random_bytes(random, 1 + random.below(std::min<std::size_t>(segment_bytes * 40, 60000)));
        test::write(from.device->queues()[0], packet.offload(segment_bytes),
                    packet.bytes(test::Packet::Checksum::pseudo_header));
        CHECK(from.device->queues()[0].refused() == 0);
        packet.hops -= 1;
        const auto ours =
            test::split(packet.offload(segment_bytes), packet.bytes(test::Packet::Checksum::pseudo_header));
        const auto theirs = read_all(to.device->queues()[0], ours.size());
        INFO("packet " << i << (packet.v6 ? " IPv6 " : " IPv4 ") << int{packet.protocol} << ", "
                       << packet.payload.size() << " bytes in segments of " << segment_bytes << ", flags "
                       << int{packet.flags});
        REQUIRE(theirs.size() == ours.size());
        REQUIRE((theirs == ours));
    }
}

TEST_CASE("TCP goes through the device and back, split and joined") {
    if (!test::enter_own_network()) return;
    for (const bool v6 : {false, true}) {
        for (const auto checksums : {tun::Splitter::Checksums::complete, tun::Splitter::Checksums::left}) {
            Here here({});
            Mirror mirror(*here.device, checksums);
            const char* const mine = v6 ? "fd77::1" : "10.77.0.1";
            const char* const theirs = v6 ? "fd77::2" : "10.77.0.2";
            Socket listener(v6, SOCK_STREAM), client(v6, SOCK_STREAM);
            listener.set(SOL_SOCKET, SO_REUSEADDR, 1);
            const SocketAddress own(v6, mine, 5555), peer(v6, theirs, 5555);
            REQUIRE(::bind(listener.fd, own.get(), own.size) == 0);
            REQUIRE(::listen(listener.fd, 1) == 0);
            REQUIRE(::connect(client.fd, peer.get(), peer.size) == 0);
            const int server = ::accept(listener.fd, nullptr, nullptr);
            REQUIRE(server >= 0);
            net::SeededRandom random(6);
            const auto sent = test::random_bytes(random, 4'000'000);
            std::thread sender([&] {
                for (std::size_t at = 0; at < sent.size();) {
                    const auto size = ::send(client.fd, sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
                    if (size <= 0) break;
                    at += static_cast<std::size_t>(size);
                }
                ::shutdown(client.fd, SHUT_WR);
            });
            net::Bytes got(sent.size() + 1);
            std::size_t at = 0;
            while (test::readable(server)) {
                const auto size = ::recv(server, got.data() + at, got.size() - at, 0);
                if (size <= 0) break;
                at += static_cast<std::size_t>(size);
            }
            ::shutdown(server, SHUT_RDWR);
            sender.join();
            ::close(server);
            REQUIRE(at == sent.size());
            got.pop_back();
            CHECK((got == sent));
            CHECK(mirror.superpackets_in > 0);
            CHECK(mirror.superpackets_out > 0);
            CHECK(mirror.bad == 0);
            CHECK(here.device->queues()[0].refused() == 0);
        }
    }
}

TEST_CASE("superpackets stay below the size that was set") {
    if (!test::enter_own_network()) return;
    Here here({.gso_max_bytes = 20000});
    Mirror mirror(*here.device, tun::Splitter::Checksums::left);
    Socket listener(false, SOCK_STREAM), client(false, SOCK_STREAM);
    const SocketAddress own(false, "10.77.0.1", 5555), peer(false, "10.77.0.2", 5555);
    REQUIRE(::bind(listener.fd, own.get(), own.size) == 0);
    REQUIRE(::listen(listener.fd, 1) == 0);
    REQUIRE(::connect(client.fd, peer.get(), peer.size) == 0);
    const int server = ::accept(listener.fd, nullptr, nullptr);
    const net::Bytes sent(1'000'000);
    std::thread sender([&] {
        for (std::size_t at = 0; at < sent.size();) {
            const auto size = ::send(client.fd, sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
            if (size <= 0) break;
            at += static_cast<std::size_t>(size);
        }
    });
    net::Bytes got(100000);
    std::size_t count = 0;
    while (count < sent.size() && test::readable(server)) {
        const auto size = ::recv(server, got.data(), got.size(), 0);
        if (size <= 0) break;
        count += static_cast<std::size_t>(size);
    }
    sender.join();
    ::close(server);
    CHECK(count == sent.size());
    CHECK(mirror.largest > 10000);
    CHECK(mirror.largest < 20000);
}

TEST_CASE("where the kernel takes no program from us there is one queue, and a reason") {
    if (!test::enter_own_network()) return;
    // This thread's rights, without the two that let it load programs.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> rights{};
    REQUIRE(::syscall(SYS_capget, &header, rights.data()) == 0);
    auto fewer = rights;
    fewer[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
    fewer[CAP_TO_INDEX(CAP_BPF)].effective &= ~CAP_TO_MASK(CAP_BPF);
    REQUIRE(::syscall(SYS_capset, &header, fewer.data()) == 0);
    auto device = Device::open({.queues = 2});
    REQUIRE(::syscall(SYS_capset, &header, rights.data()) == 0);
    REQUIRE(device);
    if (device->steers_voice()) {
        WARN("SKIPPED: this kernel lets everyone load programs");
        return;
    }
    CHECK(device->queues().size() == 1);
    CHECK_THAT(device->steering_trouble(), Catch::Contains("CAP_BPF"));
    CHECK(device->offloads().checksum);
}

TEST_CASE("voice comes out of a queue of its own") {
    if (!test::enter_own_network()) return;
    Here here({.queues = 2});
    auto& device = *here.device;
    if (!device.steers_voice()) {
        WARN("SKIPPED: " << device.steering_trouble());
        CHECK_THAT(device.steering_trouble(), Catch::Contains("not permitted") || Catch::Contains("without BPF"));
        CHECK(device.queues().size() == 1);
        return;
    }
    CHECK(device.steering_trouble().empty());
    REQUIRE(device.queues().size() == 2);
    for (const bool v6 : {false, true}) {
        Socket socket(v6, SOCK_DGRAM);
        const SocketAddress peer(v6, v6 ? "fd77::2" : "10.77.0.2", 9);
        for (int dscp = 0; dscp < 64; ++dscp) {
            const int traffic_class = dscp << 2 | (dscp & 1);  // what is behind the DSCP does not matter
            socket.set(v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, traffic_class);
            REQUIRE(::sendto(socket.fd, "", 1, 0, peer.get(), peer.size) == 1);
            const bool voice = dscp == 46 || dscp == 44 || dscp == 24;
            INFO("DSCP " << dscp << (v6 ? " of IPv6" : " of IPv4"));
            CHECK(read_all(device.queues()[voice ? 1 : 0], 1).size() == 1);
            std::vector<net::Bytes> other;
            read_waiting(device.queues()[voice ? 0 : 1], other);
            CHECK(other.empty());
        }
    }
    Device moved = std::move(device);
    CHECK(moved.steers_voice());
}

TEST_CASE("the flows of bulk spread over all queues but voice's, and each stays in one") {
    if (!test::enter_own_network()) return;
    const auto queues = GENERATE(3U, 4U, 5U);
    Here here({.queues = queues});
    auto& device = *here.device;
    if (!device.steers_voice()) {
        WARN("SKIPPED: " << device.steering_trouble());
        return;
    }
    REQUIRE(device.queues().size() == queues);
    std::vector<pollfd> fds;
    for (const auto& queue : device.queues()) fds.push_back({queue.fd(), POLLIN, 0});
    constexpr std::uint16_t kFlows = 64;
    for (const bool v6 : {false, true}) {
        const SocketAddress peer(v6, v6 ? "fd77::2" : "10.77.0.2", 9);
        std::vector<int> flows(queues);
        for (std::uint16_t i = 0; i < kFlows; ++i) {
            Socket socket(v6, SOCK_DGRAM);
            const SocketAddress own(v6, v6 ? "fd77::1" : "10.77.0.1", static_cast<std::uint16_t>(40000 + i));
            REQUIRE(::bind(socket.fd, own.get(), own.size) == 0);
            std::set<std::size_t> seen;
            for (const int dscp : {0, 10, 46}) {
                socket.set(v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, dscp << 2);
                REQUIRE(::sendto(socket.fd, "", 1, 0, peer.get(), peer.size) == 1);
                REQUIRE(::poll(fds.data(), fds.size(), 5000) == 1);
                const auto ready = std::find_if(fds.begin(), fds.end(), [](const pollfd& fd) { return fd.revents != 0; });
                const auto at = static_cast<std::size_t>(ready - fds.begin());
                CHECK(read_all(device.queues()[at], 1).size() == 1);
                CHECK((dscp == 46) == (at + 1 == queues));
                if (dscp != 46) seen.insert(at);
            }
            REQUIRE(seen.size() == 1);
            ++flows[*seen.begin()];
        }
        // 64 / 4 would be even.
        for (std::size_t at = 0; at + 1 < queues; ++at) CHECK(flows[at] >= 8);
    }
}

TEST_CASE("a number of queues that no device has is refused") {
    for (const auto queues : {0U, 9U}) {
        CHECK_THAT(Device::open({.queues = queues}).error().message, Catch::Contains("1 to 8 queues"));
    }
}
