#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/udp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <thread>

#include "tests/unit/tun/packets.hpp"
#include "two_nodes.hpp"

using test::ip_packet;
using test::Two;

TEST_CASE("a superpacket crosses in segments and is put together again, under both ciphers, with offloads and without") {
    mesh::start_crypto();
    auto settings = test::each_number_of_queues();
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
