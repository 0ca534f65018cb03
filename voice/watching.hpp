/// What users are doing, across the mesh: whoever wants to know of one subscribes at each node that has a phone of his.
///
///   subscriber's meshd --SUBSCRIBE, Event: x-meshd-calls--> callee's meshd      again every 30 s
///   subscriber's meshd <--NOTIFY, all his calls there------ callee's meshd      at once, and at each change
///
/// That is ordinary SIP between gateways (port 5080) and no gossip, since few ever ask about one user, and only while they
/// do. Whether he has a phone at all the bindings say, which every node has. A node that has restarted is asked again
/// within those 30 s; one that is out of reach says nothing any more, and what it said counts no more.
#pragma once

#include <map>
#include <set>

#include "voice/call.hpp"
#include "voice/event_body.hpp"

namespace voice {

class Watching {
public:
    Watching(Exchange& exchange, const Calls& calls) : exchange_(exchange), calls_(calls) {}

    /// Counted: from the first until the last is taken back his state is kept.
    void want(const Aor& aor, net::Now now);
    void unwant(const Aor& aor);
    UserState state(const Aor& aor) const;
    /// Whether every node that was asked about him has answered.
    bool is_complete(const Aor& aor) const;
    std::set<Aor> take_changed() { return std::exchange(changed_, {}); }

    /// SUBSCRIBE and NOTIFY between gateways; false if it is something else.
    bool takes(const RequestArrived& event, net::Now now);
    /// True if the transaction is one of ours. 408 and 503 are told so, too.
    bool response(ClientId id, int status, net::Now now);
    /// After each turn: calls may have changed.
    void look_at_calls(net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    std::size_t watchers() const { return watchers_.size(); }

private:
    /// A node that was asked about a user.
    struct Feed {
        std::string call_id;
        std::string tag;
        std::uint32_t cseq = 0;
        std::vector<DialogInfo> dialogs;
        bool told = false;
        net::Steady ask_at;
    };
    struct Wanted {
        unsigned count = 0;
        std::map<NodeId, Feed> feeds;
        UserState state;
    };
    /// A node that asked about a user.
    struct Watcher {
        Message subscribe;
        Flow flow;
        std::string tag;
        std::uint32_t cseq = 0;
        net::Steady until;
        std::string sent;
        ClientId under_way = 0;
    };
    using WatcherKey = std::pair<Aor, NodeId>;

    void look_at(const Aor& aor, Wanted& wanted, net::Now now);
    void ask(const Aor& aor, const NodeId& node, Feed& feed, net::Now now);
    void compose(const Aor& aor, Wanted& wanted);
    std::map<Aor, std::vector<DialogInfo>> calls_here() const;
    void subscribed(const RequestArrived& event, const NodeId& node, net::Now now);
    void notified(const RequestArrived& event, const NodeId& node, net::Now now);
    void tell(const WatcherKey& key, Watcher& watcher, net::Now now);

    Exchange& exchange_;
    const Calls& calls_;
    std::map<Aor, Wanted> wanted_;
    std::map<std::string, WatcherKey> feed_of_;  ///< by Call-ID
    std::map<WatcherKey, Watcher> watchers_;
    std::map<ClientId, WatcherKey> client_of_;
    std::map<Aor, std::vector<DialogInfo>> here_;
    std::set<Aor> changed_;
    std::uint64_t calls_seen_ = 0;
    net::Steady calls_from_ = net::Steady::min();  ///< not looked at before
    net::Steady next_look_ = net::kNever;
    Aor looked_at_;
};

}  // namespace voice
