/// A request that is passed on to one or more targets, and the one answer that goes back: the response context of
/// RFC 3261 section 16.7, CANCEL (16.10) and timer C (16.8).
///
/// Targets in `next` are tried in turn: the following one when nothing came of the one before but a transport error,
/// silence, or an answer that it gives way to (503 and 408, at least).
///
/// Beyond the RFC a fork has a spare: targets that are tried too when the first ones have answered nothing within its
/// patience, or failed with 408, 500, 503 or 504. That is how a call placed before an outage is known goes through.
/// Of the two ways the one that first has more than 100 is kept, the other is cancelled. Who has said 100 and no more is
/// asked whether it lives, again and again; if it does not say so, the spare is tried as well.
#pragma once

#include "voice/hang_up.hpp"
#include "voice/invite_index.hpp"

namespace voice {

enum class Path : std::uint8_t { local, mesh, central, outside, trunk };
std::string_view name_of(Path path);

/// RFC 3326: phones that stop ringing for it show no missed call.
inline constexpr std::string_view kElsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Which answers, before anything rang, make the next target in turn be tried: no answer always does.
enum class GiveWay : std::uint8_t {
    outage,   ///< 503, 408
    trouble,  ///< what is about the way and not about the callee: 408, 5xx, 401, 403, 407
    refusal,  ///< every refusal: calls for help
};
bool gives_way(GiveWay when, int status);

/// Where a request may go: by which flow, with which Request-URI and Route.
struct Target {
    Path path = Path::local;
    Flow flow;
    Uri uri;
    std::vector<NameAddr> routes;
    std::string token;  ///< the binding of the phone that it is, if it is one
    std::string trunk = {};  ///< of this office, that it is a gateway of
    GiveWay gives_way = GiveWay::outage;
    std::string proof_header = {}, proof = {};  ///< credentials for it, once it has asked
};

struct Branch {
    ClientId id = 0;
    Target target;
    bool spare = false;
    bool dropped = false;  ///< cancelled or forsaken: its answers count no more
    bool ended = false;    ///< a late 2xx has had its BYE
    int status = 0;        ///< the last it said
    unsigned breadth = 0;  ///< how wide those further on may fork it
    net::Steady timer_c = net::kNever;

    bool pending() const { return !dropped && status < 200; }
};

class ForkUser;

inline constexpr auto kPingEvery = std::chrono::seconds(5);

struct Fork {
    Fork(ServerId id_, Message request_, const Flow& from_, ForkUser* user_)
        : id(id_), request(std::move(request_)), from(from_), user(user_) {}

    ServerId id = 0;
    Message request;  ///< as it came, without the Routes that were ours
    Flow from;
    ForkUser* user = nullptr;
    std::vector<Branch> branches;
    std::vector<Message> refusals;  ///< finals of 300 and above, to choose from
    int final_status = 0;           ///< what the server transaction was given; 0: nothing yet
    ClientId winner = 0;            ///< the branch whose 2xx that was
    std::string winner_tag;
    std::uint64_t answered = 0;  ///< counts 2xx of all forks, as they came; 0: it has had none
    net::Steady ping_at = net::kNever;   ///< while it rings: see Forking::ping
    net::Steady patience = net::kNever;  ///< when the spare is tried if nothing has answered, or nothing but 100
    bool spare_tried = false;
    bool hurried = false;      ///< its last target, too, is given up when it is silent
    std::vector<Target> next;  ///< to be tried one after the other, as those before fail (RFC 3263 section 4.3)
    bool server_gone = false;
    int unsendable = 0;      ///< of a copy that could not be sent: the status that says why
    bool withdrawn = false;  ///< the caller gave up while a phone behind the centre rang, or may have
    net::Steady orphan_until = net::kNever;  ///< its way back is dead, and another may adopt it until then
    std::optional<Message> asked;        ///< as it came, where `request` is of another dialog
    bool adopted = false;                ///< answers go back by another way than their Vias say
    std::optional<Message> provisional;  ///< the last that was passed back
    std::optional<Message> answer;       ///< 2xx to what came from the centre, as the phone gave it
    bool past_centre = false;            ///< it came from a centre that has fallen silent: see hand_over
    std::vector<std::string> calls;      ///< keys of the calls it belongs to, the requester's side first

    /// What whoever asked has sent: answers are given to that.
    const Message& as_asked() const { return asked ? *asked : request; }
    bool is_invite() const { return request.method() == "INVITE"; }
    bool begins_dialog() const { return is_invite() && request.to_tag().empty(); }
};

/// What the rest of the proxy does to a fork. Borrowed arguments, valid during the call.
class ForkUser {
public:
    virtual ~ForkUser() = default;
    /// Gives the copy that goes to this target its last shape (Record-Route, SDP). False: it cannot go there.
    virtual bool shape(Fork& fork, const Target& target, Message& request, net::Now now) = 0;
    /// Where else; asked at most once.
    virtual std::vector<Target> spare(Fork& fork, net::Now now) = 0;
    /// It was refused: the same place once more, with what it asked for; nullopt: no.
    virtual std::optional<Target> again(Fork&, const Branch&, const Message& /*refusal*/, net::Now) { return std::nullopt; }
    /// A response is about to be passed back; it may be edited.
    virtual void passing(Fork& fork, const Branch& branch, Message& response, net::Now now) = 0;
    /// Every response of a branch, before it counts (408 and 503 made here too, which have no Retry-After).
    virtual void heard(Fork& fork, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
                       net::Now now) = 0;
    /// Nothing but refusals has come, of which `status` is the best. True: whoever asked is answered by the user, now or
    /// later, and not with it.
    virtual bool settles(Fork&, int /*status*/, net::Now) { return false; }
    /// The final answer has been given.
    virtual void ended(Fork& fork, int status, net::Now now) = 0;
    /// The caller has given up, and the centre does not say that it has heard so. `answered`: nobody gave up, but a phone
    /// here has answered past the lost centre, and those elsewhere are to hear that it has.
    virtual void withdraw(Fork&, bool /*answered*/, net::Now) {}
    /// The same INVITE on the other side of a B2BUA, under another name, where that is sure: what went to the centre, of what
    /// it has brought, and the other way round.
    virtual std::vector<ServerId> renamed(const Fork&) { return {}; }
    /// The answer to what came goes to what went, past the B2BUA between them.
    virtual void joined(const Fork& /*came*/, const Fork& /*went*/) {}
};

class Forking {
public:
    explicit Forking(Exchange& exchange) : exchange_(exchange), forsaken_(exchange) {}

    /// Starts a fork; an empty list, or one where nothing can be sent, tries the spare and else answers `otherwise`, or
    /// Fork::unsendable. More
    /// targets than the request may have branches are answered 440.
    void open(Fork fork, const std::vector<Target>& targets, int otherwise, net::Now now);

    void response(const ResponseArrived& event, net::Now now);
    void stray(const StrayResponse& event, net::Now now);
    void failed(ClientId id, int status, net::Now now);  ///< timed out: 408, could not be sent: 503
    void client_ended(ClientId id);
    /// `reason`: the value of a Reason header, or empty.
    void cancelled(ServerId id, net::Now now, std::string_view reason = {});
    /// `clean` false: the way back to whoever asked is dead.
    void server_ended(ServerId id, bool clean, net::Now now);
    /// The centre is lost: what waits for its first answer does not wait any longer.
    void centre_lost(net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    Fork* find(ServerId id);
    /// Those of an INVITE outside a dialog.
    std::vector<ServerId> copies_of(const Message& invite) const { return invites_.copies_of(invite); }
    Forsaken& forsaken() { return forsaken_; }
    /// Answers from here and drops all branches.
    void finish(Fork& fork, int status, net::Now now, std::string_view reason = {});
    /// The same INVITE has come another way, its first way is dead. `old`: the forks that the first has opened, one for
    /// each phone that the centre rang. They are one from now on, whose answers go back by the new way, the last
    /// provisionals at once. `renamed`: it has another Call-ID and tag by that way, which its answers are given. How many
    /// there were.
    std::size_t adopt(const std::vector<ServerId>& old, ServerId id, const Message& request, const Flow& from, net::Now now,
                      bool renamed = false);
    /// The answer to what the centre brought once more, as if the phone had sent it again; it is seldom that it does.
    void answer_again(Fork& fork, net::Now now);
    std::size_t size() const { return forks_.size(); }

private:
    Branch* branch_of(ClientId id, Fork*& fork);
    static Branch* branch_of(Fork& fork, ClientId id);  ///< null if it has none of that id
    unsigned launch(Fork& fork, const std::vector<Target>& targets, bool spare, net::Now now);
    /// How many branches more there may be at the same time, everywhere taken together (RFC 5393 section 5.3).
    static unsigned breadth_left(const Fork& fork);
    bool try_spare(Fork& fork, net::Now now);
    /// Once more, where the callee's side refused it for the sake of the way that is dead now.
    bool retry_spare(Fork& fork, net::Now now);
    /// The centre's branch of a call that has had 100 and nothing since; null if there is none.
    static const Branch* only_tried(const Fork& fork);
    /// Where that was some time ago: whoever does not answer OPTIONS either is gone past.
    void doubt(Fork& fork, net::Now now);
    /// The callee's phone is one of ours and has said something already, which only the centre did not bring. False: it is not.
    bool hand_over_all(Fork& went, net::Now now);
    /// Moves on to the next of its targets; false if there is none, or somebody is being called already.
    bool try_next(Fork& fork, net::Now now);
    void drop(Fork& fork, Branch& branch, net::Now now, std::string_view reason = {});
    void drop_others(Fork& fork, const Branch* keep, net::Now now, std::string_view reason = {});
    void provisional(Fork& fork, Branch& branch, Message response, net::Now now);
    void success(Fork& fork, Branch& branch, Message response, net::Now now);
    void refused(Fork& fork, Branch& branch, Message response, net::Now now);
    void choose(Fork& fork, net::Now now);
    /// A phone whose program has ended is noticed only when something is sent there: an empty line each way, every
    /// kPingEvery while it rings. What hears it ignores it; where nobody listens ICMP comes back, and the branch fails.
    void ping(Fork& fork, net::Now now);
    void reply(Fork& fork, const Message& response, net::Now now);
    /// Phones of this office that the centre has brought together: the INVITE that went there, and those that
    /// came back, one for each phone of the callee. Of either the others: empty unless they wait for each other, or a
    /// callee has answered.
    std::vector<Fork*> other_halves(const Fork& fork);
    /// What the callee's phone says goes straight to the caller's fork, as if the lost centre had passed it on.
    bool hand_over(Fork& came, const Message& response, net::Now now);
    /// The final answer, unless the user sees to that; and the end of it, but for what INVITE still has to hear.
    void conclude(Fork& fork, Message response, net::Now now);
    void wake(const Fork& fork);
    void forget_if_over(ServerId id);
    void forget(const Fork& fork);

    Exchange& exchange_;
    Forsaken forsaken_;
    std::unordered_map<ServerId, Fork> forks_;
    std::unordered_map<ClientId, ServerId> fork_of_;
    InviteIndex invites_;  ///< those outside a dialog
    std::uint64_t answers_ = 0;
    std::multimap<net::Steady, ServerId> deadlines_;  ///< may name a fork too early, never too late
};

/// Makes the answer to one INVITE or request within a dialog that to another of it, on the other side of a B2BUA.
void rename(Message& response, const Message& asked);
/// What ends the branch of each request that we pass on, so that it is known should it come back unchanged (RFC 5393).
std::string loop_mark(const Exchange& exchange, const Message& request);
/// RFC 3326: the value of a Reason header.
std::string reason_of(int status);
/// 408, 500, 503, 504: what a front proxy says whose back end is gone.
bool is_outage(int status);
/// What the answer to a REGISTER or INVITE that was sent to the centre tells of it.
void judge_centre(Exchange& exchange, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
                  net::Now now);
/// How good a refusal is to pass on: the least is best (16.7 step 6).
int rank_of(int status);

}  // namespace voice
