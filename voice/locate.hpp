/// Where a SIP URI leads (RFC 3263): the transport, and the addresses to try one after the other.
#pragma once

#include "net/random.hpp"
#include "voice/dns_facts.hpp"
#include "voice/flow.hpp"
#include "voice/message.hpp"

namespace voice {

/// What we can speak.
struct LocateSettings {
    std::vector<Transport> transports = {Transport::udp, Transport::tcp};  ///< the one that is liked best first
    bool ipv4 = true;
    bool ipv6 = true;
};

struct Hop {
    Transport transport = Transport::udp;
    net::Endpoint endpoint;
    std::string name;  ///< the host whose address it is, for people; empty where the address itself was given
    bool operator==(const Hop&) const = default;
};

struct Located {
    std::vector<Hop> hops;  ///< to be tried in order, each as a new branch
    std::string why;        ///< what is wrong, for people; empty if there are hops
};

inline constexpr std::size_t kMaxHops = 16;

std::uint16_t default_port(Transport transport);  ///< RFC 3261 section 19.1.2

/// Counts only if `facts` is complete afterwards. `random` chooses among equals by their weights (RFC 2782); nothing is
/// drawn before all answers are there.
Located locate(const Uri& uri, const LocateSettings& settings, DnsFacts& facts, net::Random& random);

/// RFC 3263 section 5: where a response goes whose connection, or whose source address, does not serve any more, by the
/// sent-by of its topmost Via.
Located locate_response(const Via& via, const LocateSettings& settings, DnsFacts& facts, net::Random& random);

/// In the order of RFC 2782: by priority, and within one by chance, heavier ones likelier first.
std::vector<Srv> in_order(std::vector<Srv> records, net::Random& random);

}  // namespace voice
