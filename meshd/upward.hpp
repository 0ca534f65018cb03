/// What the data threads hand up to the control thread: bounded queues, of members' control frames, of packets that wait
/// for a session or that it sends itself, of strangers' handshakes, so that none starves the other; and of frames and
/// packets no member has more than its share.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "mesh/wireguard.hpp"

namespace meshd {

/// Oldest first.
struct Upward {
    struct ControlFrame {
        net::TunnelKey peer;
        net::Bytes bytes;  ///< padding included
        net::Endpoint from;
    };
    struct Handshake {
        net::Bytes bytes;  ///< whole datagram, mac1 checked
        net::Endpoint from;
    };
    struct Packet {
        net::TunnelKey peer;
        net::Bytes bytes;  ///< an IP packet
        /// Its peer is at a virtual endpoint (mesh/virtual_endpoint.hpp); else it waits for a session.
        bool carried = false;
        bool voice = false;
    };
    /// The network, or this machine, says that a datagram was too large.
    struct TooBig {
        net::Endpoint to;
        std::size_t underlay_bytes = 0;  ///< of an IP packet that is not
    };
    std::vector<ControlFrame> frames;
    std::vector<Packet> voice;  ///< carried; goes before `packets`
    std::vector<Packet> packets;
    std::vector<Handshake> handshakes;
    std::vector<TooBig> too_big;
    bool under_load = false;  ///< so many strangers' handshakes that cookies must be asked for
    bool tick = false;        ///< WireGuard::tick is due, before any of the above
};

/// Any thread may add. What finds its queue full is dropped and counted.
class UpwardQueue {
public:
    /// One member's frames take so much of their queue, that of `max_frames`.
    static constexpr std::size_t share_of(std::size_t max_frames) { return std::max<std::size_t>(max_frames / 8, 1); }
    /// And the packets that wait for its session: never more than are kept for it.
    static constexpr std::size_t packet_share_of(std::size_t max_frames) {
        return std::min(share_of(max_frames), mesh::WireGuard::kMaxStagedPackets);
    }
    /// And the bulk that is carried for it: some superpackets, which one turn of the control thread sends.
    static constexpr std::size_t carried_share_of(std::size_t max_frames) { return std::max<std::size_t>(max_frames / 2, 1); }

    /// `wake` is called on the thread that adds, once until take(): it must be quick and thread safe.
    UpwardQueue(std::size_t max_frames, std::size_t max_handshakes, std::function<void()> wake)
        : max_frames_(max_frames), max_handshakes_(max_handshakes), wake_(std::move(wake)) {}

    void frame(Upward::ControlFrame frame, mesh::DropCounters& drops);
    void packet(Upward::Packet packet, mesh::DropCounters& drops);
    void handshake(Upward::Handshake handshake, mesh::DropCounters& drops, net::Steady now);
    /// Wakes at most every 100 ms: anyone may forge them. What is not told by then waits for whatever wakes next.
    void too_big(const Upward::TooBig& news, net::Steady now);
    void tick();

    /// All there is, and readiness for the next wake.
    Upward take(net::Steady now);

private:
    /// What a member sent, or what waits for it: `share` of a queue is one member's.
    template <class Item>
    void add_of(std::vector<Item>& queue, Item item, std::map<net::TunnelKey, std::size_t>& counts, std::size_t share,
                mesh::DropCounters& drops);
    template <class Item>
    void add(std::vector<Item>& queue, Item item, std::size_t most, mesh::Drop reason, mesh::DropCounters& drops);
    template <class Change>
    void wake_after(Change change);

    const std::size_t max_frames_;
    const std::size_t max_handshakes_;
    const std::function<void()> wake_;
    std::mutex mutex_;
    Upward waiting_;
    // How many of waiting_'s are whose.
    std::map<net::TunnelKey, std::size_t> frames_of_, packets_of_, voice_of_;
    bool woken_ = false;
    net::Steady loaded_until_ = net::Steady::min();
    net::Steady too_big_from_ = net::Steady::min();  ///< when one may wake again
};

}  // namespace meshd
