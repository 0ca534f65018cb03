/// How large a packet one path takes, found by probes that must not be fragmented (RFC 8899), answered by the other end.
///
///   off --start()--> searching --a size is acknowledged, the next larger one is not--> settled
///    ^                  ^                                                                |
///    +--stop()          +--10 minutes, told "too big", or the size is not confirmed -----+
///
/// A search begins with the size that is hoped for: on most paths that is one round trip. Where it brings no answer, a
/// ladder of sizes goes out at once, then a finer one between the two that decide, until they are neighbours. A size is
/// too large after kTries without an answer, or at once where this machine itself refuses it. If not even the smallest
/// rung is answered it was no matter of size, and all stays as it was.
///
/// Whoever sends little is left in peace: a settled size is confirmed, and a larger one looked for, only while there is
/// traffic. All sizes are of inner packets; 32 bytes of WireGuard and the underlay's headers come on top.
#pragma once

#include <vector>

#include "net/address.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace mesh {

/// The inner packet that fits an underlay packet of `underlay_bytes`; 0 if none does.
std::size_t inner_bytes(std::size_t underlay_bytes, const net::Endpoint& path);

class PathMtu {
public:
    enum class State : std::uint8_t { off, searching, settled };
    struct Probe {
        std::uint64_t token = 0;
        std::size_t bytes = 0;  ///< of the payload, padding included
    };

    /// An underlay of 296 bytes, which is less than any in use. What takes less is sent as it is.
    static constexpr std::size_t kFloorBytes = 236;
    static constexpr unsigned kTries = 4;
    static constexpr std::size_t kRungs = 7;
    static constexpr auto kConfirmEvery = std::chrono::seconds(15);
    static constexpr auto kSearchEvery = std::chrono::minutes(10);
    static constexpr auto kSearchAgain = std::chrono::minutes(1);  ///< after one that said nothing
    static constexpr auto kHintEvery = std::chrono::seconds(5);
    /// Pings and the like stay below this within kConfirmEvery, a few packets of somebody's do not.
    static constexpr std::uint64_t kBusyBytes = 2000;

    /// A path stands, or has changed. `most_bytes`: what the device's MTU asks for, kFloorBytes at least.
    void start(const net::Endpoint& path, std::size_t most_bytes, net::Steady now);
    /// The path is gone; what was found is remembered until another one starts.
    void stop();
    /// The other end answers no probes.
    void forget();

    /// What is due. `patience`: how long to wait for an answer. `carried_bytes`: all that has been sent so far.
    std::vector<Probe> tick(net::Steady now, net::Duration patience, std::uint64_t carried_bytes, net::Random& random);
    void acknowledged(std::uint64_t token, std::size_t bytes, net::Steady now);
    /// This machine would not send a probe of that size.
    void refused(std::size_t bytes, net::Steady now);
    /// The network says that the path takes no more than this. It may be lying, so it is only a reason to look.
    void told_too_big(std::size_t bytes, net::Steady now);

    State state() const { return state_; }
    const net::Endpoint& path() const { return path_; }
    /// The largest packet that the path takes, as far as is known; 0: nothing is, go by the device's.
    std::size_t mtu_bytes() const { return result_; }
    net::Steady next_deadline() const { return next_; }

private:
    struct Rung {
        std::size_t bytes = 0;
        unsigned tries = 0;
    };

    void begin(std::vector<std::size_t> sizes, std::size_t too_large, net::Steady now);
    std::vector<Probe> probe(net::Steady now, net::Duration patience);
    void add_rung(std::size_t bytes);
    void add_ladder();
    void prune();
    bool concluded(net::Steady now);
    void settle(net::Steady now, net::Steady search_at);
    bool proven() const { return low_ >= kFloorBytes; }

    State state_ = State::off;
    net::Endpoint path_;
    std::size_t most_ = 0;
    std::size_t result_ = 0;
    net::Steady next_ = net::kNever;
    net::Steady search_at_ = net::kNever;
    net::Steady hints_from_ = net::Steady::min();

    // Of a search.
    enum class Stage : std::uint8_t {
        opening,  ///< nothing has been sent yet
        opened,   ///< what is hoped for has been sent once
        ladders,
    };
    Stage stage_ = Stage::opening;
    std::uint64_t token_ = 0;
    std::size_t low_ = 0;      ///< the largest that was acknowledged; less than kFloorBytes: none was
    std::size_t high_ = 0;     ///< the smallest that is too large
    std::vector<Rung> rungs_;

    std::uint64_t carried_ = 0;  ///< when last looked at
    std::uint64_t own_ = 0;      ///< probes since then: these are no traffic
};

}  // namespace mesh
