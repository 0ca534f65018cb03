/// Subscriptions of phones here that the centre serves (lamps, presence, message-summary). When it is lost their phones are
/// told to subscribe anew, which the mesh then serves (notifier.hpp); or they would notice at their own refresh, up to an
/// hour later.
///
///   NOTIFY active, from the centre to a phone --> known --the centre is lost--> leaving: waits for its turn
///     leaving --NOTIFY terminated;reason=deactivated, in the centre's dialog, with the next CSeq--> told
///       told --answered--> moved --its expiry--> forgotten
///         '--unanswered--> leaving: later, and then later still
///       '--NOTIFY of a centre that is believed up: it serves it yet--> known
///     known, leaving --NOTIFY terminated, 481 by the phone, its expiry--> forgotten
///     known --the centre may have restarted, and has forgotten it, or all that it was asked about--> leaving
///
/// One that was silent for seconds and is not lost may have restarted: it is asked in three dialogs, drawn at random, by a
/// SUBSCRIBE below every number of the phone's. Who knows the dialog refuses that as out of order and changes nothing (RFC
/// 3261 section 12.2.2); who does not says 481, and that phone is told. All are where no dialog is remembered.
///
/// By RFC 6665 section 4.1.3 such a phone subscribes again at once: so the turns are drawn at random, over five seconds
/// and more for many, and are 20 ms apart. What still comes in a dialog that was told or has moved, from the centre or the
/// phone, is answered 481. What would be refused here is left alone. Known are dialogs by their NOTIFYs, of which each
/// SUBSCRIBE brings one (section 4.2.1.2); they are kept over a restart of ours, all but the number of the last NOTIFY.
#pragma once

#include "voice/credentials.hpp"
#include "voice/notifier.hpp"

namespace voice {

class CentreLamps {
public:
    CentreLamps(Exchange& exchange, const Credentials& credentials)
        : exchange_(exchange), credentials_(credentials), lookup_(exchange) {}

    static constexpr std::size_t kMost = 8000;  ///< further ones are not remembered, but counted

    /// A request within a dialog. True: the dialog has moved, and the request has been answered so.
    bool takes(const RequestArrived& event, net::Now now);
    /// A NOTIFY of the centre that is passed on to `target`.
    void passing(const Message& notify, const Target& target, net::Now now);
    /// How the phone has answered it.
    void answered(const Message& notify, int status);
    /// The centre is lost.
    void lost(net::Now now);
    /// It was silent, or we were away, and it answers: it may have restarted.
    void may_have_forgotten(net::Now now);
    /// True if the transaction is one of ours.
    bool response(ClientId id, int status, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::size_t serving() const;  ///< how many dialogs have not been moved
    std::uint64_t dropped() const { return dropped_; }  ///< NOTIFYs of those for which there was no room

    static constexpr std::string_view kKept = "lamp:";
    /// Values to be kept over a restart, by names that begin with kKept: those that have changed. An empty one is deleted.
    std::map<std::string, net::Bytes> take_changes() { return std::exchange(changes_, {}); }
    /// Once, before all else: what was kept. What is over, or cannot be read, is deleted.
    void restore(const std::map<std::string, net::Bytes>& values, net::Now now);

private:
    static constexpr std::size_t kAsked = 3;  ///< dialogs, of a centre that may have restarted

    enum class State : std::uint8_t { known, leaving, told, moved };
    struct Dialog {
        State state = State::known;
        Message notify;     ///< the last, as it went to the phone, without its body; empty once it has moved
        Flow flow;          ///< the phone's
        std::string token;  ///< of its binding, if it has one
        std::uint32_t cseq = 0;        ///< of the last NOTIFY, the centre's or ours
        std::uint32_t heard_cseq = 0;  ///< of the centre's last
        std::uint32_t unseen = 0;  ///< so many more there may have been, while we were away
        unsigned tries = 0;
        net::Steady heard;  ///< the last NOTIFY
        net::Steady expires;
        net::Steady due;  ///< expires, or its turn
        std::string name;  ///< under which it is kept; empty: it is not
        net::Steady kept_expires;
    };
    using Key = std::string;  ///< Call-ID, the centre's tag, the phone's
    struct Doubt {
        net::Steady since;
        unsigned open = 0, forgotten = 0, remembered = 0;  ///< of those that were asked
    };

    static Key key_of(std::string_view call_id, const std::string& centre, const std::string& phone);
    /// Whether its phone, subscribing anew, would be served here.
    bool can_serve(const Message& notify, const Flow& phone) const;
    /// Unless its phone has not `moved`, and it is kept as it is but for some seconds and the number.
    void keep(Dialog& dialog, bool moved, net::Now now);
    void keep_no_longer(Dialog& dialog);
    void set_due(const Key& key, Dialog& dialog, net::Steady due);
    /// Those that are known, and were not heard of since then, at random moments.
    void leave(net::Steady unheard_since, net::Now now);
    void leave(const Key& key, Dialog& dialog, net::Duration spread, net::Now now);
    void tell(const Key& key, Dialog& dialog, net::Now now);
    bool ask(const Key& key, net::Now now);
    void judge(const Key& key, int status, net::Now now);
    void erase(const Key& key);

    Exchange& exchange_;
    const Credentials& credentials_;
    Lookup lookup_;
    std::unordered_map<Key, Dialog> dialogs_;
    std::set<std::pair<net::Steady, Key>> due_;
    std::unordered_map<ClientId, Key> client_of_;
    std::unordered_map<ClientId, Key> asked_;  ///< empty: in an earlier doubt
    std::optional<Doubt> doubt_;
    std::map<std::string, net::Bytes> changes_;
    net::Steady next_turn_ = net::Steady::min();
    std::uint64_t dropped_ = 0;
};

}  // namespace voice
