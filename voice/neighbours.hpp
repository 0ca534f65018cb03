/// Do other nodes still reach the centre that is lost here? Then the trouble is this node's line, and not the centre's.
/// While the centre is lost some of them are asked from time to time, by an OPTIONS through the mesh, whose answer tells:
///
///   meshd --OPTIONS--> meshd elsewhere        meshd <--200 Meshd-Centre: up--- meshd elsewhere
#pragma once

#include <map>

#include "voice/exchange.hpp"

namespace voice {

/// In the answer to an OPTIONS of another node: the state of its own centre, as name_of(CentreMonitor::State).
inline constexpr std::string_view kCentreHeader = "Meshd-Centre";

class Neighbours {
public:
    explicit Neighbours(Exchange& exchange) : exchange_(exchange) {}

    /// Asks, if it is due.
    void tick(net::Now now);
    net::Steady next_deadline() const { return next_; }
    /// A response without a transaction; false if it is not to one of these.
    bool take(const Message& response);
    /// In words, to go behind why the centre is lost; empty if nothing is known, or it is not lost.
    std::string in_words() const;

private:
    struct Asked {
        std::string branch;
        std::optional<bool> reaches;
    };
    Exchange& exchange_;
    std::map<NodeId, Asked> asked_;
    net::Steady next_ = net::kNever;
    std::uint32_t cseq_ = 0;
};

}  // namespace voice
