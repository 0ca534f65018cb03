/// One peer as the node sees it: the ways to it, whether it is there, and what was agreed in Hello.
///
///   idle --wanted--> connecting --WireGuard session and both Hellos--> up --no answer to pings, Leaving--> connecting
///
/// connecting: initiations to all endpoints at once, again after 1, 2, 4, 8 s and then as often as there are few to look
/// for; through other members from a moment after the first. At once for a new endpoint, and soon when another peer comes
/// up: what has cut us off may be over.
/// up: a ping every few seconds. One that is not answered in time is repeated quickly; after the second, all other ways are
/// probed, and the first that answers is taken. Down after kLostAfter. All of it faster for gateways of one subnet: under
/// 3 s from the death of that which has the route.
#pragma once

#include <deque>

#include "mesh/canary.hpp"
#include "mesh/control_frame.hpp"
#include "mesh/path_mtu.hpp"
#include "mesh/paths.hpp"
#include "mesh/budget.hpp"
#include "net/time.hpp"

namespace mesh {

struct PeerLink {
    enum class State : std::uint8_t { idle, connecting, up };

    net::NodeKey key;
    net::TunnelKey tunnel_key;
    std::string name;
    std::uint32_t number = 0;  ///< in virtual endpoints; none is used twice
    bool stock = false;
    State state = State::idle;
    Paths paths;

    std::vector<net::Prefix> allowed_ips;  ///< as told to WireGuard
    bool carries_ip = false;               ///< likewise
    bool exit = false;                     ///< likewise

    // Connecting.
    unsigned attempts = 0;
    net::Steady connecting_since{};
    net::Steady next_for_news = net::Steady::min();      ///< an attempt because its record says something new
    net::Steady next_introduction = net::Steady::min();  ///< not before
    unsigned introductions = 0;
    net::Steady next_attempt = net::kNever;
    net::Steady next_detour = net::kNever;  ///< then the initiation goes through other members, too
    bool ever_up = false;
    net::Steady asked_until = net::Steady::min();  ///< of one that is wanted only when needed: then it is given up


    // The session.
    bool session = false;
    net::Endpoint endpoint;  ///< that WireGuard sends to
    std::uint64_t hello_nonce = 0;
    std::uint64_t heard_nonce = 0;
    bool hello_acknowledged = false;
    net::Steady next_hello = net::kNever;
    unsigned hellos = 0;
    std::uint32_t capabilities = 0;
    struct Seen {
        net::Endpoint from;  ///< where it is, as we reach it
        net::Endpoint seen;  ///< where it sees us then; none: it has not said
    };
    std::array<Seen, 2> observed;  ///< IPv4, IPv6

    // Whether it is there.
    net::Steady next_ping = net::kNever;
    net::Steady ping_sent{};  ///< the first since the last answer
    net::Steady unanswered_since = net::kNever;       ///< the first ping since the last answer
    unsigned unanswered_pings = 0;
    bool tried_elsewhere = false;                     ///< a handshake to all endpoints went out since
    std::optional<std::chrono::microseconds> rtt;
    bool shares_subnet = false;  ///< another member offers a subnet of its own, too: a tunnel to it stays up, and a few
                                 ///< lost packets are not taken for its end
    bool backed_up = false;      ///< it has such a subnet's route, and the other is there to take it over
    net::Steady next_look = net::kNever;  ///< whether what is sent to it is answered
    std::uint64_t looked_tx_bytes = 0;

    Canary canary;  ///< runs while up
    net::Endpoint canary_path;  ///< where its trains went
    CanaryCount canary_count;
    PathMtu mtu;  ///< of the path to `endpoint`, while up

    // Which way, for people: the latest changes.
    struct Move {
        net::Wall at;
        net::Endpoint to;
        std::string_view why;
    };
    std::deque<Move> moves;
    net::Steady punched = net::Steady::min();  ///< its last call to probe it that was followed
    net::Steady next_birthday = net::Steady::min();  ///< not before
    unsigned birthdays = 0;                          ///< that led nowhere
    Budget birthday_budget;                          ///< of its calls that are followed

    // What is passed on for it here.
    Budget relay_budget;
    Budget relay_share;  ///< of what all may have passed on here together
    net::Steady relay_asked = net::Steady::min();  ///< last
    Budget handshake_budget;  ///< handshakes that it delivers from others
    std::uint64_t relayed_bytes = 0, refused_bytes = 0;

    static constexpr auto kHelloEvery = std::chrono::milliseconds(500);
    static constexpr unsigned kMaxHellos = 20;  ///< a session that brings no answer by then is left to pings and time
    static constexpr auto kPingAgain = std::chrono::milliseconds(250);
    static constexpr auto kMostPatience = std::chrono::seconds(1);  ///< for the first answer
    static constexpr unsigned kDoubtAfter = 2;  ///< pings without an answer, before other ways are looked for
    static constexpr auto kLostAfter = std::chrono::seconds(4);  ///< from the first ping that got no answer
    static constexpr auto kBackedUpPingEvery = std::chrono::milliseconds(800);
    static constexpr auto kSharedPingAgain = std::chrono::milliseconds(100);
    static constexpr auto kBackedUpLostAfter = std::chrono::seconds(2);  ///< and more where the round trip is long
    static constexpr auto kLookEvery = std::chrono::milliseconds(250);  ///< while data goes to it
    static constexpr auto kSilence = std::chrono::milliseconds(400);    ///< of data's, after which it is pinged
    static constexpr auto kDetourAfter = std::chrono::milliseconds(400);
    static constexpr auto kAskedFor = std::chrono::seconds(90);
    static constexpr std::size_t kMoves = 8;

    void answered();  ///< a ping was
    /// When the next ping is due: after one that was sent now, without an answer so far (`repeated`: nor to earlier ones);
    /// after an answer.
    net::Steady ping_again(net::Steady now, bool repeated) const;
    net::Steady ping_after_answer(net::Steady now, net::Duration every) const;
    net::Duration lost_after() const;  ///< since the first ping that got no answer
    net::Steady next_deadline() const;
};

}  // namespace mesh
