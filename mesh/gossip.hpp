/// How rosters spread: push on change, and anti-entropy. Passive.
///
///   a change here     -> Records to every peer (one learnt from a peer: to kFanout others)
///   summaries differ  -> Digest of all ids -> for each sub-range that differs: Inventory if it is small, else Digest
///   Inventory         -> Records that the other lacks (members first), Want for those that we lack
///   Want              -> Records
///
/// Summaries come with every Hello and Ping, so a lost frame is made good by the next. Questions are padded: no answer is
/// larger than kReplyFactor times its question. An exchange that brings nothing is repeated ever more rarely.
#pragma once

#include <utility>

#include "mesh/control_frame.hpp"
#include "mesh/roster.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace mesh {

class Gossip {
public:
    struct Output {
        net::NodeKey to;
        net::Bytes frame;
    };
    struct Counters {
        std::uint64_t pushed = 0;     ///< records sent unasked
        std::uint64_t answered = 0;   ///< records sent for a Want or an Inventory
        std::uint64_t received = 0;   ///< records that were new here
        std::uint64_t refused = 0;
        std::uint64_t exchanges = 0;  ///< begun here
    };

    static constexpr auto kExchangeEvery = std::chrono::milliseconds(250);
    static constexpr auto kExchangeAtMost = std::chrono::seconds(30);  ///< where the last ones brought nothing
    static constexpr auto kAntiEntropyEvery = std::chrono::seconds(20);
    static constexpr std::size_t kAskBytes = 600;  ///< every question is padded to this
    static constexpr std::size_t kFanout = 4;

    /// Both are borrowed for life.
    Gossip(Roster& roster, net::Random& random) : roster_(roster), random_(random) {}

    /// Only peers that are up take part.
    void peer_up(const net::NodeKey& peer, net::Now now);
    void peer_down(const net::NodeKey& peer) { peers_.erase(peer); }

    /// The peer's summary, out of a Hello or Ping.
    void heard_summary(const net::NodeKey& peer, std::uint64_t summary, net::Now now);
    /// Digest, Inventory, Want, Records and RecordPart. Returns one answer for each record that came.
    std::vector<Added> receive(const net::NodeKey& peer, const Frame& frame, std::size_t frame_bytes, net::Now now);
    /// Spreads records that were signed here, or learnt otherwise than by gossip.
    void push(std::span<const RecordKey> keys);

    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<Output> take_output() { return std::exchange(output_, {}); }
    const Counters& counters() const { return counters_; }

private:
    struct Peer {
        std::uint64_t summary = 0;
        bool differs = false;  ///< when last heard
        net::Steady next_exchange{};
        net::Duration pause = kExchangeEvery;
        Reassembly parts;
    };
    struct Range;

    void send(const net::NodeKey& to, const Frame& frame, std::size_t pad_to = 0);
    /// As many as `budget` bytes allow, which it takes from it.
    void send_records(const net::NodeKey& to, const std::vector<const Roster::Entry*>& entries, std::size_t& budget);
    void progress(Peer& peer, net::Now now);
    Frame describe(const Range& range) const;
    void answer(const net::NodeKey& from, const Digest& digest, std::size_t budget);
    void answer(const net::NodeKey& from, const Inventory& inventory, std::size_t budget);
    void answer(const net::NodeKey& from, const Want& want, std::size_t budget);
    std::vector<Added> merge(const net::NodeKey& from, std::span<const net::Bytes> wires, net::Now now);

    Roster& roster_;
    net::Random& random_;
    std::map<net::NodeKey, Peer> peers_;
    net::Steady next_anti_entropy_{};
    std::vector<Output> output_;
    Counters counters_;
};

}  // namespace mesh
