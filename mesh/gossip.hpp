/// How rosters spread: push on change, and anti-entropy against random peers. Passive.
///
///   a change here        -> Records to every peer (one learnt from a peer: to some others)
///   summaries differ     -> Digest of the whole range  -> for each sub-range that differs: Inventory if it is small,
///                                                         else Digest of it (at most kReplyFactor times the question)
///   Inventory            -> Records that the other lacks, Want for those that we lack
///   Want                 -> Records
/// Each exchange works with one lost frame less next time; nothing waits for an answer.
#pragma once

#include <deque>

#include "mesh/control_frame.hpp"
#include "mesh/roster.hpp"
#include "net/time.hpp"

namespace mesh {

class Gossip {
public:
    struct Output {
        net::NodeKey to;
        net::Bytes frame;
    };
    struct Counters {
        std::uint64_t pushed = 0, received = 0, refused = 0, exchanges = 0;
    };

    Gossip(Roster& roster, net::Random& random) : roster_(roster), random_(random) {}

    /// Peers that are up; only they take part.
    void peer_up(const net::NodeKey& peer, net::Now now);
    void peer_down(const net::NodeKey& peer);

    /// The peer's summary, from a Hello or Ping: a different one starts an exchange (at most one a kExchangeEvery).
    void heard_summary(const net::NodeKey& peer, std::uint64_t summary, net::Now now);
    /// Digest, Inventory, Want, Records and RecordPart. Returns what it refused, with reason.
    std::vector<Added> receive(const net::NodeKey& peer, const Frame& frame, std::size_t frame_bytes, net::Now now);
    /// Spread records that this node has signed or learnt otherwise than by gossip.
    void push(std::span<const RecordKey> keys);

    Hash summary() const;
    std::uint64_t short_summary() const;

    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<Output> take_output();
    const Counters& counters() const { return counters_; }

    static constexpr auto kExchangeEvery = std::chrono::milliseconds(250);
    static constexpr auto kAntiEntropyEvery = std::chrono::seconds(20);
    static constexpr std::size_t kAskBytes = 600;  ///< every question is padded to this
    static constexpr std::size_t kFanout = 4;      ///< of what was learnt from a peer

private:
    struct Peer {
        net::Steady next_exchange{};
        std::uint64_t summary = 0;
        bool differs = false;
        Reassembly parts;
    };
    void send(const net::NodeKey& to, const Frame& frame, std::size_t pad_to = 0);
    void send_records(const net::NodeKey& to, std::span<const net::ByteView> wires);
    void start_exchange(const net::NodeKey& to, Peer& peer, net::Now now);
    void answer_digest(const net::NodeKey& from, const Digest& digest, std::size_t budget);
    void answer_inventory(const net::NodeKey& from, const Inventory& inventory, std::size_t budget);
    void answer_want(const net::NodeKey& from, const Want& want, std::size_t budget);
    void merge(const net::NodeKey& from, std::span<const net::Bytes> wires, std::vector<Added>& refused);

    Roster& roster_;
    net::Random& random_;
    std::map<net::NodeKey, Peer> peers_;
    net::Steady next_anti_entropy_{};
    std::vector<Output> output_;
    Counters counters_;
};

}  // namespace mesh
