/// The ways to one peer: where it may be, what was tried, what was proven, and which of them is the best.
///
///   heard of --probe--> tried --its answer, inside the tunnel--> proven --no answer for kFresh--> stale, tried again
///
/// A probe is a challenge in a session, answered to where it came from: whoever sees the answer to its own has proved the
/// way there and back. Both ends probe at once, so that each opens its own NAT for the other (hole punching). A round of
/// probes is four in 1.4 s; rounds come soon after each other at first, and never end while a better way may appear.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace mesh {

/// Who told us of an endpoint; also the order in which those that were never proven are tried.
enum class Source : std::uint8_t {
    mdns,       ///< on a LAN that we share
    cache,      ///< it worked in an earlier life
    join,       ///< of the invitation
    gossip,     ///< its node record
    told,       ///< itself, in this session, in order to meet us
    heard,      ///< its packets come from there
    bootstrap,  ///< some member is there
    stream,     ///< a TLS connection
    relay,      ///< through another member
};
std::string_view text(Source source);

/// How a node knows an endpoint to be its own, by its own word.
enum class Found : std::uint8_t {
    unsaid,
    local,       ///< an address of this machine
    configured,  ///< a person said so
    mapped,      ///< a gateway has promised to pass on what comes there
    seen,        ///< other members see it there
};
std::string_view text(Found found);

/// What a way is worth: the lower, the better. trickle: through a member without the relay role, who passes on handshakes
/// and little more.
enum class Rank : std::uint8_t { lan, open, mapped, punched, stream, relay, trickle };
std::string_view text(Rank rank);
/// Whether it needs nobody else, and no TCP.
inline bool is_direct(Rank rank) { return rank < Rank::stream; }

struct Path {
    net::Endpoint to;
    Source source = Source::gossip;
    Found found = Found::unsaid;
    net::Steady added{};
    net::Steady proven = net::Steady::min();  ///< when it last was
    net::Steady tried = net::Steady::min();   ///< when a probe last left
    std::optional<std::chrono::microseconds> rtt;  ///< smoothed
    std::uint64_t probes = 0, answers = 0;         ///< of all time
    net::Steady refused = net::Steady::min();      ///< when a relay last said that it knows no way
    bool trickle = false;                          ///< of a relay: it has not the role

    Rank rank() const;
    /// Share of the last 16 probes that were not answered (those of the last second aside); nullopt under eight.
    std::optional<double> loss(net::Steady now) const;
    bool ever_proven() const { return proven != net::Steady::min(); }

private:
    friend class Paths;
    struct Sent {
        std::uint64_t token = 0;  ///< 0: none
        net::Steady at{};
        bool answered = false;
    };
    static constexpr std::size_t kRemembered = 16;
    std::array<Sent, kRemembered> sent{};  ///< a ring
    std::size_t next_sent = 0;
    unsigned answers_in_round = 0;
    bool dead = false;  ///< until it is proven again: it was used, and fell silent
    unsigned deaths = 0;                          ///< so, lately
    net::Steady not_before = net::Steady::min();  ///< a way that lives is not left for this one
    void note_sent(std::uint64_t token, net::Steady at);
    bool note_answer(std::uint64_t token, net::Steady at);
};

class Paths {
public:
    static constexpr std::size_t kMax = 24;
    static constexpr auto kFresh = std::chrono::seconds(6);      ///< so long a proof counts for a choice
    static constexpr auto kWarmEvery = std::chrono::seconds(5);  ///< standby ways, while the one in use is a relay's
    static constexpr std::size_t kWarm = 2;
    /// A way that fell silent in use is taken again, instead of one that lives, after this long; twice as long each time.
    static constexpr auto kHoldDown = std::chrono::seconds(5), kLongestHoldDown = std::chrono::seconds(300);
    static constexpr auto kForgiven = std::chrono::minutes(10);

    /// Whether anything could ever be sent there by UDP. Others' words are looked at with this.
    static bool usable(const net::Endpoint& endpoint);

    /// True if it is new. When full, the stalest that was never proven makes room, or nothing does.
    bool add(const net::Endpoint& endpoint, Source source, Found found, net::Steady now);
    struct Told {
        net::Endpoint endpoint;
        Found found = Found::unsaid;
        bool operator==(const Told&) const = default;
    };
    /// Replaces everything that came from `source` and never worked. True if something is new.
    bool replace(Source source, std::span<const Told> endpoints, net::Steady now);
    void remove(const net::Endpoint& endpoint);
    void set_trickle(const net::Endpoint& endpoint, bool trickle);
    /// A handshake worked there.
    void good(const net::Endpoint& endpoint, net::Steady now);
    /// Its packets came from there.
    void heard_from(const net::Endpoint& endpoint, net::Steady now);
    /// The member that it leads through says that it has no session with the peer.
    void refused(const net::Endpoint& endpoint, net::Steady now);

    /// The one in use; none: no session.
    void use(const net::Endpoint& endpoint);
    const net::Endpoint& used() const { return used_; }
    const Path* find(const net::Endpoint& endpoint) const;
    Rank used_rank() const;

    /// Everything but the way in use is probed from now on: there is a session anew, or something has changed.
    /// `again`: the rounds that follow begin with short pauses.
    void begin_round(net::Steady now, bool again);
    bool in_round() const { return next_step_ != net::kNever; }
    void forgive();  ///< the network is another: what fell silent there may be good here
    void stop();  ///< no session
    unsigned rounds() const { return rounds_; }  ///< since begin_round(again)
    struct Probe {
        net::Endpoint to;
        std::uint64_t token = 0;
    };
    /// What is due now. Within a budget for what is not proven of late: a member's word must not make us flood a stranger.
    std::vector<Probe> due(net::Steady now, net::Random& random);
    /// True once when a round of its own accord begins and the way in use is not direct: ask the peer to probe, too.
    bool take_call();
    /// Other probes through the way in use, for its figures.
    void probed_used(std::uint64_t token, net::Steady now);
    /// An answer to `token` came from there. False if none was awaited.
    bool answered(std::uint64_t token, const net::Endpoint& from, net::Steady now);
    /// The way in use does not answer. What else was proven takes its place (choose()).
    void used_is_dead(net::Steady now);

    /// Where to go instead of the way in use; none: stay. Whoever is proven is better than what is dead; of living ones a
    /// better rank wins after one proof if it ends a detour, after two if not, and a shorter round trip by a fifth and 5 ms.
    /// One that fell silent in use must wait (kHoldDown), and then prove itself by three of a round's four probes.
    std::optional<net::Endpoint> choose(net::Steady now) const;

    /// Where to send a handshake: proven ones first, latest first; then by source; at most `limit`.
    std::vector<net::Endpoint> best(std::size_t limit) const;
    std::span<const Path> all() const { return all_; }
    net::Steady next_deadline() const;

private:
    Path* find_mutable(const net::Endpoint& endpoint);
    bool wanted(const Path& path) const;
    std::optional<Probe> probe(Path& path, net::Steady now, net::Random& random);

    std::vector<Path> all_;
    net::Endpoint used_;
    bool used_dead_ = false;

    unsigned step_ = 0;                     ///< of the round
    unsigned rounds_ = 0;                   ///< since begin_round(again)
    net::Steady next_step_ = net::kNever;   ///< kNever: not in a round
    net::Steady next_round_ = net::kNever;
    net::Steady next_warm_ = net::kNever;
    bool call_ = false;
    double budget_ = 0;  ///< probes to what is not proven of late
    net::Steady budget_at_ = net::Steady::min();
};

}  // namespace mesh
