/// Two nodes with real sockets and data threads. The queues of their devices are socket pairs, whose other ends the test
/// holds.
#pragma once

#include <sys/socket.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <condition_variable>

#include "loop/clock.hpp"
#include "loop/file_descriptor.hpp"
#include "meshd/data_threads.hpp"

namespace test {

using namespace std::chrono_literals;

// Long enough for a machine that is busy with everything else; nothing here takes as long when it works.
constexpr auto kPatience = 20s;

inline net::Bytes ip_packet(std::string_view from, std::string_view to, std::uint16_t total_bytes) {
    net::Writer out;
    out.u8(0x45).u8(0).u16be(total_bytes).zeros(4).u8(64).u8(17).u16be(0);
    out.bytes(net::IpAddress::parse(from)->bytes()).bytes(net::IpAddress::parse(to)->bytes());
    while (out.size() < total_bytes) out.u8(static_cast<std::uint8_t>(out.size() & 0xff));
    return out.take();
}

/// For one queue of bulk, and for several: the test runs with each.
inline meshd::DataThreads::Settings each_number_of_queues() {
    meshd::DataThreads::Settings settings;
    settings.queues = GENERATE(1U, 2U);
    return settings;
}

/// A node whose TUN device has one queue, or, with several of bulk, those and voice's.
class Node {
public:
    explicit Node(std::uint64_t seed, meshd::DataThreads::Settings settings = {}) : random_(seed), wireguard(mesh::make_tunnel_secret(random_), random_, {}) {
        for (std::size_t i = 0; i < (settings.queues > 1 ? settings.queues + 1 : 1); ++i) {
            int pair[2];
            REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
            // A superpacket must fit.
            const int room = 1 << 20;
            for (const int end : pair) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
            queues_.emplace_back(pair[0]);
            applications_.emplace_back(pair[1]);
        }
        writes_to = settings.queues - 1;
        settings.max_frames = 64;
        settings.max_handshakes = 16;
        settings.wake = [this] {
            const std::lock_guard lock(mutex_);
            woken_ = true;
            condition_.notify_all();
        };
        threads = std::make_unique<meshd::DataThreads>(settings);
        threads->swap_table(wireguard.table());
        threads->start(queues_, {});
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
        for (const auto& queue : queues_) REQUIRE(::setsockopt(queue.fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0);
    }
    void lose_device() { applications_.clear(); }
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
    /// Into the queue `writes_to`. False if that is full just now.
    bool try_write(net::ByteView packet, const tun::Offload& how = {}) {
        net::Bytes bytes(tun::Offload::kBytes);
        how.write(bytes);
        bytes.insert(bytes.end(), packet.begin(), packet.end());
        return ::write(applications_[writes_to].get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    }
    void write(net::ByteView packet, const tun::Offload& how = {}) { REQUIRE(try_write(packet, how)); }
    std::optional<net::Bytes> read() {
        net::Bytes buffer(tun::Offload::kBytes + 65536);
        for (read_from = 0; read_from < applications_.size(); ++read_from) {
            const auto size = ::read(applications_[read_from].get(), buffer.data(), buffer.size());
            if (size < 0) continue;
            REQUIRE(static_cast<std::size_t>(size) >= tun::Offload::kBytes);
            buffer.resize(static_cast<std::size_t>(size));
            offload = *tun::Offload::read(buffer);
            buffer.erase(buffer.begin(), buffer.begin() + tun::Offload::kBytes);
            return buffer;
        }
        return std::nullopt;
    }

private:
    net::SeededRandom random_;
    std::mutex mutex_;
    std::condition_variable condition_;
    bool woken_ = false;
    std::vector<tun::Queue> queues_;
    std::vector<loop::FileDescriptor> applications_;  ///< a queue's other end each

public:
    mesh::WireGuard wireguard;
    std::size_t writes_to = 0;  ///< which queue: the last one of bulk, unless set otherwise
    std::size_t read_from = 0;  ///< which one what was read last came into
    tun::Offload offload;       ///< of that
    std::vector<meshd::Upward::ControlFrame> frames;
    std::vector<meshd::Upward::TooBig> too_big;
    std::unique_ptr<meshd::DataThreads> threads;  // last, so that it stops first
};

struct Two {
    explicit Two(bool v6, const meshd::DataThreads::Settings& settings = each_number_of_queues()) : alice(1, settings), bob(2, settings) {
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

}  // namespace test
