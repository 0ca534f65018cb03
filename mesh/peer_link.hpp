/// One peer as the node sees it: where it may be, whether it is there, and what was agreed in Hello.
///
///   idle --wanted--> connecting --WireGuard session and both Hellos--> up --no answer to pings, Leaving--> connecting
///
/// connecting: initiations to all candidates at 0, 1, 2, 4, 8, 15, 15... seconds, and at once for a new candidate.
/// up: a ping every few seconds, unless it was heard since; unanswered, one a second; down after kLostAfter. All of it
/// faster for gateways of one subnet: under 3 s from the death of that which has the route.
#pragma once

#include "mesh/canary.hpp"
#include "mesh/candidates.hpp"
#include "mesh/control_frame.hpp"
#include "mesh/path_mtu.hpp"
#include "net/time.hpp"

namespace mesh {

struct PeerLink {
    enum class State : std::uint8_t { idle, connecting, up };

    net::NodeKey key;
    net::TunnelKey tunnel_key;
    std::string name;
    bool stock = false;
    State state = State::idle;
    Candidates candidates;

    std::vector<net::Prefix> allowed_ips;  ///< as told to WireGuard
    bool carries_ip = false;               ///< likewise

    // Connecting.
    unsigned attempts = 0;
    net::Steady next_attempt = net::kNever;
    bool ever_up = false;

    // The session.
    bool session = false;
    net::Endpoint endpoint;  ///< that WireGuard sends to
    std::uint64_t hello_nonce = 0;
    std::uint64_t heard_nonce = 0;
    bool hello_acknowledged = false;
    net::Steady next_hello = net::kNever;
    unsigned hellos = 0;
    std::uint32_t capabilities = 0;
    net::Endpoint observed;  ///< where it sees us

    // Whether it is there.
    net::Steady next_ping = net::kNever;
    net::Steady ping_sent{};  ///< the first since the last answer
    std::uint64_t ping_token = 0;                     ///< of those since the last answer; 0: none
    bool ping_repeated = false;                       ///< there has been more than one
    net::Steady unanswered_since = net::kNever;       ///< the first ping since the last answer
    bool tried_elsewhere = false;                     ///< a handshake to all candidates went out since
    std::optional<std::chrono::microseconds> rtt;
    bool shares_subnet = false;  ///< another member offers a subnet of its own, too: a tunnel to it stays up, and a few
                                 ///< lost packets are not taken for its end
    bool backed_up = false;      ///< it has such a subnet's route, and the other is there to take it over

    Canary canary;  ///< runs while up
    net::Endpoint canary_path;  ///< where its trains went
    CanaryCount canary_count;
    PathMtu mtu;  ///< of the path to `endpoint`, while up

    // A path on trial.
    struct Trial {
        net::Endpoint endpoint;
        std::uint64_t token = 0;
        net::Steady until{};
    };
    std::optional<Trial> trial;

    static constexpr auto kHelloEvery = std::chrono::milliseconds(500);
    static constexpr unsigned kMaxHellos = 20;  ///< a session that brings no answer by then is left to pings and time
    static constexpr auto kPingAgain = std::chrono::seconds(1);
    static constexpr auto kLostAfter = std::chrono::seconds(4);  ///< from the first ping that got no answer
    static constexpr auto kBackedUpPingEvery = std::chrono::milliseconds(800);
    static constexpr auto kSharedPingAgain = std::chrono::milliseconds(100);
    static constexpr auto kBackedUpLostAfter = std::chrono::seconds(2);  ///< and more where the round trip is long
    static constexpr auto kTrialLasts = std::chrono::seconds(3);

    /// How long to wait after attempt number `attempts`.
    static std::chrono::seconds backoff(unsigned attempts);
    void answered();  ///< a ping was
    /// When the next ping is due: after one that was sent now, without an answer so far (`repeated`: nor to earlier ones);
    /// after an answer.
    net::Steady ping_again(net::Steady now, bool repeated) const;
    net::Steady ping_after_answer(net::Steady now, net::Duration every) const;
    net::Duration lost_after() const;  ///< since the first ping that got no answer
    net::Steady next_deadline() const;
};

}  // namespace mesh
