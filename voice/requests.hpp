/// Requests outside a dialog: INVITE, MESSAGE, SUBSCRIBE, OPTIONS and whatever else is not REGISTER. Where they go in
/// each mode, who may send them, and what happens to them when the centre does not answer.
///
///   phone -> centre while believed up --nothing in some round trips, 408, 500, 503, 504--> phones here, mesh (spare)
///   phone -> phones here and mesh while it is down, or where there is none, if registered here or by password
///   phone -> DNS -> a place outside, for a number or a URI that nobody here has, while there is no centre or if told so
///   phone -> trunks, for a number that nobody has, and for calls for help, in every mode and whoever calls
///   centre -> phone by the token of its Contact       mesh -> phones here, or a trunk here; never on into the mesh
///   trunk -> users of the mesh, wherever they are; nowhere else
#pragma once

#include "voice/call.hpp"
#include "voice/credentials.hpp"
#include "voice/late_acks.hpp"
#include "voice/lookup.hpp"
#include "voice/merging.hpp"
#include "voice/notifier.hpp"
#include "voice/outside.hpp"
#include "voice/trunks.hpp"

namespace voice {

class Requests final : public ForkUser {
public:
    Requests(Exchange& exchange, Forking& forking, Calls& calls, Credentials& credentials, Pager& pager, Notifier& notifier,
             Trunks& trunks)
        : exchange_(exchange),
          forking_(forking),
          calls_(calls),
          credentials_(credentials),
          pager_(pager),
          notifier_(notifier),
          trunks_(trunks),
          lookup_(exchange),
          late_acks_(exchange, calls, forking.forsaken()),
          outside_(exchange) {}

    void arrived(const RequestArrived& event, net::Now now);
    void cancelled(ServerId id, std::string_view reason, net::Now now);
    /// Whoever asked is not there any more: what is held for him is let go.
    void server_ended(ServerId id) {
        held_.erase(id);
        outside_.forget(id);
    }
    /// The answer to a request of our own, or 408 or 503 where there is none; false if it was not ours.
    bool response(ClientId id, int status, net::Now now) { return late_acks_.response(id, status, now); }
    /// DNS has led somewhere, or nowhere. False: it was asked for by somebody else.
    bool found(const NameFound& found, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    bool shape(Fork& fork, const Target& target, Message& request, net::Now now) override;
    std::vector<Target> spare(Fork& fork, net::Now now) override;
    std::optional<Target> again(Fork& fork, const Branch& branch, const Message& refusal, net::Now now) override;
    void passing(Fork& fork, const Branch& branch, Message& response, net::Now now) override;
    void heard(Fork& fork, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
               net::Now now) override;
    bool settles(Fork& fork, int status, net::Now now) override;
    void ended(Fork& fork, int status, net::Now now) override;
    void withdraw(Fork& fork, bool answered, net::Now now) override;
    std::vector<ServerId> renamed(const Fork& fork) override;
    void joined(const Fork& came, const Fork& went) override;

private:
    /// An INVITE from the centre that waits until the caller's meshd has cancelled it, for the mesh has the same call.
    struct Held {
        RequestArrived event;
        net::Steady until;
    };
    void from_phone(const RequestArrived& event, net::Now now);
    void from_centre(const RequestArrived& event, net::Now now);
    void from_mesh(const RequestArrived& event, net::Now now);
    /// A gateway calls users, by their numbers or names, and nobody else: no trunk leads out again.
    void from_trunk(const RequestArrived& event, net::Now now);
    /// A call for help from a phone, whoever it is: by trunks, then by the centre. Nobody asks it for a password, and it
    /// waits for nothing.
    void help(const RequestArrived& event, const std::string& number, net::Now now);
    /// As Outside::ask(), which a trunk for the number makes impatient.
    bool ask_dns(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now);
    /// A call by a trunk, if there is one for the number; false: it has not been dealt with.
    bool by_trunk(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now);
    std::optional<std::string> trunk_number(const Message& request, const Flow& from) const;
    /// One target after the other.
    void start_in_turn(const RequestArrived& event, const Aor& caller, const Aor& callee, std::vector<Target> targets, net::Now now);
    void deliver(const RequestArrived& event, const Aor& caller, const Aor& callee, const std::vector<Target>& targets,
                 net::Now now);
    /// Whether what the centre has brought is the very INVITE that a phone of this office has sent there.
    bool placed_here(ServerId brought);
    /// True if it was dealt with: held, refused or adopted.
    bool merged(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now);
    /// The same call waits here on the way by the centre. The mesh is asked again if the centre is silent; then it is known here, too.
    bool refused_for_centre(const RequestArrived& event, net::Now now);
    /// The call that the centre has brought to phones here by these deliveries comes over the mesh from now on. False: there
    /// is none.
    bool taken_over(const RequestArrived& event, const Aor& caller, const Aor& callee, std::vector<ServerId> rung, net::Now now);
    /// What the centre, a B2BUA, has brought under another name of the call that this INVITE is of; null: nothing that is sure.
    Call* renamed_here(const RequestArrived& event, const Aor& caller, const Aor& callee);
    /// The same where a B2BUA has brought it, under another name: what phones here say goes over the mesh, and so does an answer
    /// that they have given. False: there is no such call, or it is not sure.
    bool handed_over(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now);
    /// Past a centre that is silent: the caller of a call that it has brought here has given up.
    void withdrawn(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now);
    /// The phones here, or the only one that an INVITE with Replaces is for.
    std::vector<Target> phones_for(const Message& request, const Aor& callee, const Flow& from);
    std::vector<Target> everywhere_for(const Message& request, const Aor& callee, const Flow& from);
    /// Targets ring together; then, if nothing came of them, `next` one after the other.
    void start(const RequestArrived& event, const Aor& caller, const Aor& callee, const std::vector<Target>& targets,
               int otherwise, net::Now now, std::vector<Target> next = {});
    /// Without the centre: whether a phone may send this. A flow that is registered for the caller is believed, any other
    /// has to know the caller's password. False: it has been answered.
    bool authenticated(const RequestArrived& event, const Aor& caller, net::Now now);
    /// True if a SUBSCRIBE that the centre has refused so, or has not answered, is served here.
    bool served_here(const Fork& fork, int status, net::Now now);
    void options(const RequestArrived& event, net::Now now);
    /// Who answers from outside may send its BYE from where its Contact is.
    void hear(const Message& response, net::Now now);

    Exchange& exchange_;
    Forking& forking_;
    Calls& calls_;
    Credentials& credentials_;
    Pager& pager_;
    Notifier& notifier_;
    Trunks& trunks_;
    Lookup lookup_;
    Merging merging_;
    LateAcks late_acks_;
    Outside outside_;
    std::unordered_map<ServerId, Held> held_;
};

/// Adds Record-Route for both sides that a dialog passes here (RFC 5658). `token` names the callee's binding.
void record_route(const Exchange& exchange, const Flow& from, const Target& target, Message& request);

}  // namespace voice
