/// Calls that leave the mesh by DNS: which requests are looked up, what waits for the answer, and the places that were
/// called, whose answers and BYEs are heard.
///
///   a phone's INVITE to nobody here -> ask() -> Names -> take() -> targets(): the first is tried, then the next
#pragma once

#include "voice/lookup.hpp"

namespace voice {

class Outside {
public:
    explicit Outside(Exchange& exchange) : exchange_(exchange), lookup_(exchange) {}

    struct Waiting {
        RequestArrived event;
        Aor caller;
        Aor callee;
        net::Steady until = net::kNever;
    };
    /// Who has another way does not wait longer for DNS than this, and not at all where it has been silent.
    static constexpr auto kPatience = Names::kPatience;
    /// True if the request waits now: an INVITE for a number or a SIP URI whose owner the mesh does not know.
    bool ask(const RequestArrived& event, const Aor& caller, const Aor& callee, bool other_way, net::Now now);
    /// Those that have waited long enough; whatever DNS says of them later is nobody's.
    std::vector<Waiting> take_late(net::Now now);
    net::Steady next_deadline() const;
    /// What has waited for this; nullopt if it is somebody else's.
    std::optional<Waiting> take(NameQuery id);
    /// It has been cancelled, or whoever asked has gone. False: it does not wait here.
    bool forget(ServerId id);

    /// Users of this mesh that a URI turns out to be, else where to go, in order; and from now on those are heard.
    std::vector<Target> targets(const NameFound& found, const Flow& except, net::Now now);

private:
    bool may_be_called(const net::Endpoint& endpoint) const;

    Exchange& exchange_;
    Lookup lookup_;
    std::map<NameQuery, Waiting> waiting_;
};

}  // namespace voice
