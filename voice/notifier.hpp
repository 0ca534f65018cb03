/// The notifier (RFC 6665) for subscriptions that the centre does not serve: presence (RFC 3856), dialog (RFC 4235) and
/// message-summary (RFC 3842), of users of this mesh, for its own phones.
///
///   subscribe() --200, NOTIFY--> active --Expires over, or 0--> NOTIFY terminated;reason=timeout
///                                  |  ^'--SUBSCRIBE: refreshed
///                                  |--change: NOTIFY, not more than one in half a second
///                                  |--the centre is back: NOTIFY terminated;reason=deactivated, at a bounded rate from a
///                                  |  random moment on
///                                  |--the user has left the mesh: NOTIFY terminated;reason=noresource
///                                  '--NOTIFY is refused or unanswered: gone
///
/// Nothing of it outlives a restart: a refresh of what is not known is answered 481, and the phone subscribes anew.
#pragma once

#include "voice/pager.hpp"
#include "voice/watching.hpp"

namespace voice {

class Notifier {
public:
    Notifier(Exchange& exchange, Watching& watching, const Mailbox& mailbox)
        : exchange_(exchange), watching_(watching), mailbox_(mailbox), lookup_(exchange) {}

    static constexpr const char* kAllowEvents = "presence, dialog, message-summary";
    enum class Package : std::uint8_t { presence, dialog, message_summary };
    /// By Event; nullopt: none of ours.
    static std::optional<Package> package_of(const Message& request);
    /// Whether it is a SUBSCRIBE for something that can be served here.
    static bool serves(const Message& request);
    /// A SUBSCRIBE outside a dialog whose sender is `subscriber`: accepted or refused. `for_now`: until the centre is back.
    void subscribe(ServerId id, const Message& request, const Flow& from, const Aor& subscriber, bool for_now, net::Now now);
    /// A SUBSCRIBE within a dialog. False: it is none of ours, nor pretends to be.
    bool takes(const RequestArrived& event, net::Now now);
    /// True if the transaction is one of ours.
    bool response(ClientId id, int status, net::Now now);
    /// After each turn: what is watched may have changed, and for whom messages wait.
    void follow(const std::set<Aor>& mail_changed, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const { return due_.empty() ? next_move_ : std::min(next_move_, due_.begin()->first); }
    std::size_t size() const { return subscriptions_.size(); }

private:
    struct Subscription {
        Package package = Package::presence;
        Aor subscriber;
        Aor target;
        Message subscribe;  ///< as it came first
        Uri contact;        ///< the phone's
        Flow flow;
        std::string token;  ///< of the phone's binding, if it is registered
        std::string tag;
        std::uint32_t cseq = 0;
        std::uint32_t remote_cseq = 0;
        std::uint32_t version = 0;
        bool for_now = false;
        bool fetch = false;
        net::Steady since;
        net::Steady expires;
        net::Steady notify_at = net::kNever;  ///< something is to be told then
        net::Steady notified = net::Steady::min();
        net::Steady paced = net::Steady::min();  ///< not before then is a change told
        ClientId under_way = 0;
        std::vector<DialogInfo> told;  ///< dialogs that live
        std::size_t told_waiting = 0;  ///< messages
        net::Steady due = net::kNever;
    };
    using Key = std::string;  ///< our tag

    static bool accepts(const Message& request, Package package);
    /// Seconds; nullopt: too few (it has been answered 423).
    std::optional<std::uint32_t> granted(ServerId id, const Message& request, net::Now now);
    void accept(ServerId id, const Message& request, const Key& tag, std::uint32_t seconds, net::Now now);
    void schedule(const Key& key, Subscription& subscription);
    void serve(const Key& key, net::Now now);
    ClientId notify(Subscription& subscription, std::string_view state, net::Now now);
    std::string body(Subscription& subscription, bool last);
    void end(const Key& key, std::string_view reason, net::Now now);
    void erase(const Key& key);
    std::vector<Key> keys_of(const Aor& target) const;
    void move_over(net::Now now);

    Exchange& exchange_;
    Watching& watching_;
    const Mailbox& mailbox_;
    Lookup lookup_;
    std::map<Key, Subscription> subscriptions_;
    std::multimap<Aor, Key> by_target_;
    std::unordered_map<Aor, std::size_t> by_subscriber_;
    std::unordered_map<ClientId, Key> client_of_;
    std::set<std::pair<net::Steady, Key>> due_;
    std::size_t for_now_ = 0;  ///< how many wait for the centre
    net::Steady next_move_ = net::kNever;
    bool moving_ = false;  ///< since the centre is back
};

}  // namespace voice
