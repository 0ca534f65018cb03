/// Requests within a dialog (ACK, BYE, re-INVITE, UPDATE, INFO, REFER ...): they follow Route (RFC 3261 section 16.4
/// and 16.5), but skip a dead centre where a waypoint behind it can be reached over the mesh, or is ourselves.
#pragma once

#include "voice/call.hpp"
#include "voice/centre_lamps.hpp"
#include "voice/credentials.hpp"
#include "voice/lookup.hpp"
#include "voice/trunks.hpp"

namespace voice {

class Dialogs final : public ForkUser {
public:
    Dialogs(Exchange& exchange, Forking& forking, Calls& calls, Credentials& credentials, Trunks& trunks,
            CentreLamps& centre_lamps)
        : exchange_(exchange),
          forking_(forking),
          calls_(calls),
          credentials_(credentials),
          trunks_(trunks),
          centre_lamps_(centre_lamps),
          lookup_(exchange) {}

    void arrived(const RequestArrived& event, net::Now now);
    void ack(const AckArrived& event, net::Now now);

    bool shape(Fork& fork, const Target& target, Message& request, net::Now now) override;
    std::vector<Target> spare(Fork& fork, net::Now now) override;
    std::optional<Target> again(Fork& fork, const Branch& branch, const Message& refusal, net::Now now) override;
    void passing(Fork& fork, const Branch& branch, Message& response, net::Now now) override;
    void heard(Fork&, const Branch&, int, std::optional<std::uint32_t>, net::Now) override {}
    void ended(Fork& fork, int status, net::Now now) override;

private:
    struct Step {
        Target target;
        bool past_centre = false;  ///< the centre between two waypoints of ours was left out
    };
    /// Where a request goes on to in a call that leads outside, or to or from a gateway, by the Routes that are left;
    /// nullopt for all others.
    std::optional<Target> outward(const Message& request, const Flow& from, std::vector<NameAddr> routes) const;
    /// The call that a request leaves by a trunk in, or has come from one in.
    Call* gateway_call(const Fork& fork, const Target& target);
    /// Where the request goes next; nullopt: nowhere that it may go.
    std::optional<Step> next(const Message& request, const Flow& from, bool avoid_centre) const;
    /// Past a dead B2BUA, where next() knows no way. Gives the fork's request its last shape.
    std::optional<Step> past_centre(Fork& fork);
    /// Of what another node brings past a dead B2BUA, the call here that it is of: as its media says, or by the name that the call
    /// was handed over under, which that office uses when it hangs up by itself. Null if there is none.
    Call* brought_past_centre(const Message& request, const Flow& from);
    void from_past_centre(const RequestArrived& event, Call* call, net::Now now);
    /// No early dialog leads past a dead B2BUA: the caller's BYE in one is for us, and means CANCEL.
    void give_up(const Fork& bye, const Call& call, net::Now now);
    void send_ack(Fork& fork, const Target& target, net::Now now);
    /// Whether it may go there: the centre judges phones for itself, whom it sends is believed, and so is who is in a
    /// call of ours under the name that the call gave him; of all others a phone must be registered, and a node must
    /// speak for the user.
    bool may_go(const Fork& fork, const Target& target);
    bool may_speak(const Fork& fork);
    /// Whether it is from one of the two ends of a call that has begun to ring, and comes from where that end is.
    bool in_call(const Fork& fork);
    /// Where a call has that end which sends a request from another port than it did, as a NAT in between gives it anew:
    /// if all else of it is as ever, and the password of who is there is known. Null: nobody's.
    Flow* moved_end(const Fork& fork);
    /// Whether the caller of this call, or the callee, is there.
    bool is_end(const Call& call, bool caller, const Flow& from) const;
    std::optional<Target> last(const Message& request, const Flow& from, const std::string& token) const;
    std::vector<std::string> calls_of(const Message& request, const Flow& from, bool past_centre);

    Exchange& exchange_;
    Forking& forking_;
    Calls& calls_;
    Credentials& credentials_;
    Trunks& trunks_;
    CentreLamps& centre_lamps_;
    Lookup lookup_;
};

}  // namespace voice
