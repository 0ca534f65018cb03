/// What is kept of a call when it is over, and, while it is up, for the case that we do not live to see its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/time.hpp"
#include "voice/directory.hpp"

namespace voice {

/// What was heard of one side of a stream.
struct HeardFigures {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t lost = 0;
    std::uint64_t rtcp_packets = 0;
    double jitter_ms = 0;
    double longest_gap_ms = 0;
    bool operator==(const HeardFigures&) const = default;
};

struct StreamFigures {
    std::string kind;  ///< "audio", "video", "image"
    HeardFigures from_caller;
    HeardFigures from_callee;
    bool operator==(const StreamFigures&) const = default;
};

/// One node's account of one call. A call between two offices has two, one at each: of the same id, unless a B2BUA lies
/// between, which gives each side another.
struct CallRecord {
    std::uint64_t number = 0;  ///< of its node's records: later ones are higher
    std::string id;            ///< Call-ID
    Aor from;
    Aor to;
    std::string path;          ///< "central", "mesh", "local", "outside"
    NodeId node;               ///< whose account it is
    NodeId other;              ///< the other gateway, where there is one that we know of
    std::optional<net::Endpoint> our_end;  ///< of its media toward that one: ours, where it has been relayed
    std::optional<net::Endpoint> far_end;  ///< and that one's, where it is known
    net::Wall started{};
    std::optional<net::Wall> rang;
    std::optional<net::Wall> answered;
    std::optional<net::Wall> ended;
    net::Wall seen{};          ///< when it was last written: till then at least it went on
    std::string why;           ///< it ended, in words
    int status = 0;            ///< the SIP status that ended it; 0: it was hung up
    std::string audio;         ///< what was wrong with its sound at last, in words; or empty
    std::vector<StreamFigures> streams;
    bool operator==(const CallRecord&) const = default;
};

}  // namespace voice
