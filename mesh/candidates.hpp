/// Where one peer may be reached: a short list, the likeliest first.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/time.hpp"

namespace mesh {

/// How an endpoint was found; also the order in which the list prefers those that were never proven.
enum class Source : std::uint8_t { mdns, cache, join, gossip, bootstrap };
std::string_view text(Source source);

class Candidates {
public:
    static constexpr std::size_t kMax = 16;

    /// Whether anything could ever be sent there. Others' words are looked at with this.
    static bool usable(const net::Endpoint& endpoint);
    /// True if it is new. When full, the stalest one that was never proven makes room.
    bool add(const net::Endpoint& endpoint, Source source, net::Steady now);
    /// A handshake or path proof worked there.
    void good(const net::Endpoint& endpoint, net::Steady now);
    /// Replaces everything that came from `source`. True if something is new.
    bool replace(Source source, std::span<const net::Endpoint> endpoints, net::Steady now);

    /// Proven ones first, latest first; then by source; at most `limit`.
    std::vector<net::Endpoint> best(std::size_t limit) const;
    std::optional<Source> source_of(const net::Endpoint& endpoint) const;
    bool empty() const { return all_.empty(); }

private:
    struct Candidate {
        net::Endpoint endpoint;
        Source source;
        net::Steady added;
        net::Steady proven = net::Steady::min();
    };
    std::vector<Candidate> all_;
};

}  // namespace mesh
