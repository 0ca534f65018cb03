/// The calls that run through this proxy: who, since when, by which path, with the media anchor of each; and the end
/// of those that nobody ends.
#pragma once

#include <map>
#include <unordered_map>

#include "voice/audio_watch.hpp"
#include "voice/call_media.hpp"
#include "voice/forking.hpp"

namespace voice {

/// How a call that leaves by a trunk looks to the gateway.
struct GatewayLeg {
    std::string trunk;
    Uri from;                      ///< who calls
    std::optional<Uri> asserted;   ///< and under which number, where that is known
    std::uint32_t cseq_shift = 0;  ///< so many challenges were answered here (RFC 3261 section 22.2)
};

struct Call {
    Call(std::string key_, CallMedia media_) : key(std::move(key_)), media(std::move(media_)) {}

    std::string key;
    CallView view;
    std::string from_tag;
    bool caller_near = false;  ///< the caller's side is a phone of this office
    bool callee_near = false;
    bool told = false;  ///< CallStarted has been given
    bool up = false;
    unsigned forks = 0;  ///< INVITEs of it under way: a centre sends one to each phone of a user, also in one office
    CallMedia media;
    std::optional<Message> invite;  ///< as it came
    std::optional<Message> answer;  ///< the 2xx as it came
    Flow caller;
    Flow callee;                    ///< of the winning branch, once up
    std::uint32_t caller_cseq = 0;  ///< the highest seen each way
    std::uint32_t callee_cseq = 0;
    std::uint32_t bypassed_cseq = 0;     ///< of the last INVITE within it that was answered by another way than the centre
    std::uint32_t past_centre_cseq = 0;  ///< of the last INVITE that came past a dead centre
    std::string known_as;                ///< to the phone at the other side of a dead B2BUA, as in Replaces; or empty
    bool handed_over = false;            ///< a B2BUA died before it passed the answer on: it went past it, as all that follows does
    std::string name_elsewhere;          ///< by which the office that it was handed over to speaks of it; or empty
    bool acknowledged = false;           ///< an ACK to its answer has passed here
    bool ack_asked = false;              ///< the caller's office is being asked for one: see LateAcks
    std::uint64_t media_seen = 0;  ///< packets in all, when last looked
    net::Steady media_heard;
    std::optional<GatewayLeg> gateway;
    bool media_expected = true;  ///< when last looked: false on hold
    std::vector<net::Endpoint> direct;  ///< on the callee's side: with whom media is left alone, as the last offer decided
    net::Steady refreshed;              ///< when it was last heard of by signalling
    std::chrono::seconds session_expires{0};  ///< RFC 4028; 0: it has no timer
    std::vector<AudioWatch> watches;  ///< by stream
    std::optional<net::Endpoint> joined;  ///< the far end that it is found by
    CallRecord record;
    net::Steady record_at;  ///< when what is known of it is to be kept again
};

class Calls {
public:
    explicit Calls(Exchange& exchange) : exchange_(exchange) {}

    /// Replaces an earlier one of the same key (an INVITE sent again with credentials), but joins the one that another
    /// fork of the same INVITE has opened. Null when there are too many;
    /// `always`: however many there are.
    Call* open(const Message& invite, const Flow& from, const Aor& caller, const Aor& callee, net::Now now, bool always = false);
    bool full() const { return by_key_.size() >= exchange_.settings.max_calls; }
    Call* find(const std::string& key);
    static std::string key_of(std::string_view call_id, std::string_view caller_tag, bool caller_near);
    /// Whether this very INVITE (or one of its dialog's) already rings or is up here from that side.
    bool is_live(const Message& invite, const Flow& from);
    /// The call that a request within a dialog belongs to, coming from a phone (near) or not.
    Call* of(const Message& request, bool near);
    /// The call through the centre, or handed over past it, that is up and whose media another anchor has there; null if
    /// there is none, or more than one.
    Call* joined_at(const net::Endpoint& far_end);
    /// The call that the centre has brought, be it up or not, and whose media another anchor has there; null if there is none,
    /// or more than one, or if it goes past the centre by now.
    Call* brought(const net::Endpoint& far_end);
    /// Of a call between phones of this office that a B2BUA has turned back: the one that was placed by a phone, of the one that
    /// the centre has brought, and the other way round, as their media says. Null if there is none, or more than one.
    Call* other_side(const Call& call);
    /// From now on the office that this INVITE came from is understood when it speaks of the call by the names that the INVITE has.
    void name_elsewhere(Call& call, const Message& invite, const Flow& from);
    /// The call that is up, and that an office speaks of by its own name for it; null if there is none.
    Call* named_elsewhere(const Message& request, const Flow& from);
    static bool from_caller(const Call& call, const Message& request) { return request.from_tag() == call.from_tag; }

    /// Takes the SDP of a request on its way through the calls of its fork, that of a response on its way back. False:
    /// it cannot be anchored.
    bool carry(const Fork& fork, const Target& target, Message& request, net::Now now);
    void carry_back(const Fork& fork, const Branch& branch, Message& response, net::Now now);
    /// Steers a call's far media by a body that is not passed on.
    void listen(Call& call, const Message& request, const Flow& from, net::Now now);

    void ringing(Call& call, Path path, net::Now now);
    void answered(Call& call, const Branch& branch, const Message& answer, net::Now now);
    void saw(Call& call, const Message& request);  ///< keeps the sequence numbers
    /// `status`: of the response that refused it; 0 where it was hung up.
    void end(const std::string& key, std::string_view why, net::Now now, int status = 0);
    /// A side has sent BYE, and there is an answer to it.
    void hung_up(const std::string& key, const Message& bye, net::Now now);
    /// BYE to both sides, and the end.
    void hang_up(Call& call, std::string_view why, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const {
        return std::min(history_.next_deadline(), by_key_.empty() ? net::kNever : next_look_);
    }

    const CallHistory& history() const { return history_; }
    void restore(std::vector<CallRecord> records, net::Now now) { history_.restore(std::move(records), now); }
    std::vector<CallHistory::Change> take_records(net::Now now) { return history_.take_changes(now); }

    std::size_t size() const { return by_key_.size(); }
    const std::unordered_map<std::string, Call>& all() const { return by_key_; }
    /// Grows when a call that rings begins, is answered, or ends.
    std::uint64_t changes() const { return changes_; }
    std::vector<CallView> views() const;

private:
    /// The same request, forked by the centre to another phone.
    static bool is_fork(const Call& call, const Message& invite, const Flow& from);
    /// `offers`: what it says may be answered, not is an answer.
    bool pass(Call& call, Message& message, bool from_caller, const Flow& from, const Flow& to, bool offers, net::Now now);
    /// Whether what `sdp` describes reaches the far end of `to` by itself; nullopt if it does not say, being held.
    std::optional<bool> reaches(std::string_view sdp, const Flow& from, const Flow& to) const;
    bool is_direct(const Call& call) const;
    /// What ends a call whose media we do not see: its session timer, or a day without a word.
    bool is_forgotten(const Call& call, net::Now now) const;
    /// What a response to a request that may have had an offer means for the call's media.
    void settle(Call& call, const Message& request, const Message& response, bool by_caller, net::Now now);
    CallView view_of(const Call& call) const;
    void keep(Call& call, net::Now now);
    /// Its media has been moved, or ends: it is found by its far end, or `end` by none.
    void note_far_end(Call& call, const std::optional<net::Endpoint>& end);
    /// Nothing finds it any more but its key, which goes next.
    void unlink(Call& call);
    void watch(Call& call, net::Now now);
    std::string silence_in_words(const Call& call, Leg leg, bool from_elsewhere) const;
    CallMedia::From media_from(const Call& call, bool from_caller, const Flow& from) const;
    CallMedia::To media_to(const Flow& to) const;

    Exchange& exchange_;
    std::unordered_map<std::string, Call> by_key_;
    std::multimap<net::Endpoint, Call*> by_far_end_;
    std::unordered_map<std::string, Call*> by_name_elsewhere_;
    CallHistory history_;
    net::Steady next_look_;
    std::uint64_t changes_ = 0;
};

}  // namespace voice
