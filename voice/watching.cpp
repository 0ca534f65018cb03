#include "voice/watching.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace voice {

namespace {

constexpr std::string_view kCallsEvent = "x-meshd-calls";
constexpr const char* kCallsType = "application/x-meshd-calls";
constexpr auto kAskEvery = std::chrono::seconds(30);
constexpr auto kAskAgain = std::chrono::seconds(1);  // where it failed: a node that has just come up may not know us yet
constexpr auto kLasts = std::chrono::seconds(90);
constexpr auto kLookEvery = std::chrono::milliseconds(250);
constexpr auto kCallsEvery = std::chrono::milliseconds(50);
constexpr std::size_t kLookAt = 200;  // users at a time
constexpr std::size_t kMaxNodes = 8;  // of one user
constexpr std::size_t kMaxWatchers = 10000;

/// FNV-1a. A name only: whoever knows it can do nothing with it.
std::string id_of(std::string_view key) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return "d" + net::to_hex(std::as_bytes(std::span(&hash, 1)));
}

}  // namespace

void Watching::want(const Aor& aor, net::Now now) {
    if (wanted_.empty() && watchers_.empty()) here_ = calls_here();
    auto& wanted = wanted_[aor];
    if (++wanted.count > 1) return;
    look_at(aor, wanted, now);
    changed_.erase(aor);
    next_look_ = std::min(next_look_, now.steady + kLookEvery);
}

void Watching::unwant(const Aor& aor) {
    const auto at = wanted_.find(aor);
    if (at == wanted_.end() || --at->second.count > 0) return;
    for (const auto& [node, feed] : at->second.feeds) feed_of_.erase(feed.call_id);  // its NOTIFY will be answered 481
    wanted_.erase(at);
}

UserState Watching::state(const Aor& aor) const {
    const auto at = wanted_.find(aor);
    return at == wanted_.end() ? UserState{} : at->second.state;
}

bool Watching::is_complete(const Aor& aor) const {
    const auto at = wanted_.find(aor);
    if (at == wanted_.end()) return true;
    const auto& feeds = at->second.feeds;
    return std::all_of(feeds.begin(), feeds.end(), [](const auto& entry) { return entry.second.told; });
}

void Watching::look_at(const Aor& aor, Wanted& wanted, net::Now now) {
    auto nodes = exchange_.directory().nodes_with(aor);
    if (nodes.size() > kMaxNodes) nodes.resize(kMaxNodes);
    std::erase_if(wanted.feeds, [&](const auto& entry) {
        if (std::find(nodes.begin(), nodes.end(), entry.first) != nodes.end()) return false;
        feed_of_.erase(entry.second.call_id);
        return true;
    });
    for (const auto& node : nodes) {
        auto& feed = wanted.feeds[node];
        if (feed.call_id.empty()) {
            feed.call_id = exchange_.new_token();
            feed.tag = exchange_.transactions.make_tag();
            feed.ask_at = now.steady;
            feed_of_[feed.call_id] = {aor, node};
        }
        if (feed.ask_at <= now.steady) ask(aor, node, feed, now);
    }
    compose(aor, wanted);
}

void Watching::ask(const Aor& aor, const NodeId& node, Feed& feed, net::Now now) {
    feed.ask_at = now.steady + kAskEvery;
    const auto flow = exchange_.to_node(node);
    const auto uri = Uri::parse("sip:" + aor);
    if (!flow || !uri) return;
    const auto us = NameAddr::of(Uri::of("meshd", exchange_.local_toward(*flow)));
    auto from = us;
    from.params.set("tag", feed.tag);
    auto request = Message::request("SUBSCRIBE", *uri);
    request.set_from(from);
    request.set_to(NameAddr::of(*uri));
    request.set("Call-ID", feed.call_id);
    request.set("CSeq", CSeq{++feed.cseq, "SUBSCRIBE"}.text());
    request.set("Event", kCallsEvent);
    request.set_expires_s(static_cast<std::uint32_t>(std::chrono::seconds(kLasts).count()));
    request.set_contacts({us});
    const auto id = exchange_.transactions.start(std::move(request), *flow, exchange_.sent_by(*flow), now);
    if (id != 0) client_of_[id] = {aor, node};
}

void Watching::compose(const Aor& aor, Wanted& wanted) {
    UserState state;
    state.open = !exchange_.location.of(aor).empty() || !wanted.feeds.empty();
    if (const auto here = here_.find(aor); here != here_.end()) state.dialogs = here->second;
    for (const auto& [node, feed] : wanted.feeds) {
        state.dialogs.insert(state.dialogs.end(), feed.dialogs.begin(), feed.dialogs.end());
    }
    std::sort(state.dialogs.begin(), state.dialogs.end());
    if (state == wanted.state) return;
    wanted.state = std::move(state);
    changed_.insert(aor);
}

std::map<Aor, std::vector<DialogInfo>> Watching::calls_here() const {
    std::map<Aor, std::vector<DialogInfo>> out;
    const auto add = [&](const Aor& aor, const Call& call, bool initiator) {
        auto& dialogs = out[aor];
        if (dialogs.size() == kMaxDialogs) return;
        dialogs.push_back({id_of(call.key), initiator, call.up ? DialogState::confirmed : DialogState::early});
    };
    for (const auto& [key, call] : calls_.all()) {
        if (!call.told) continue;
        if (call.caller_near) add(call.view.from, call, true);
        if (call.callee_near) add(call.view.to, call, false);
    }
    for (auto& [aor, dialogs] : out) std::sort(dialogs.begin(), dialogs.end());
    return out;
}

void Watching::look_at_calls(net::Now now) {
    if (calls_.changes() == calls_seen_ || now.steady < calls_from_) return;
    calls_seen_ = calls_.changes();
    if (wanted_.empty() && watchers_.empty()) return here_.clear();
    calls_from_ = now.steady + kCallsEvery;
    const auto before = std::exchange(here_, calls_here());
    std::set<Aor> changed;
    for (const auto& [aor, dialogs] : before) {
        const auto at = here_.find(aor);
        if (at == here_.end() || at->second != dialogs) changed.insert(aor);
    }
    for (const auto& [aor, dialogs] : here_) {
        if (!before.contains(aor)) changed.insert(aor);
    }
    for (const auto& aor : changed) {
        if (const auto wanted = wanted_.find(aor); wanted != wanted_.end()) compose(aor, wanted->second);
        for (auto at = watchers_.lower_bound({aor, NodeId()}); at != watchers_.end() && at->first.first == aor; ++at) {
            tell(at->first, at->second, now);
        }
    }
}

bool Watching::takes(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    if (event.flow.side != Side::mesh || request.get("Event") != kCallsEvent) return false;
    const auto node = exchange_.node_of(event.flow);
    if (!node || !(request.is("SUBSCRIBE") || request.is("NOTIFY"))) return false;
    request.is("NOTIFY") ? notified(event, *node, now) : subscribed(event, *node, now);
    return true;
}

void Watching::subscribed(const RequestArrived& event, const NodeId& node, net::Now now) {
    const auto& request = event.message;
    const auto voices = exchange_.directory().voice_nodes();
    if (std::find(voices.begin(), voices.end(), node) == voices.end()) return exchange_.answer(event.id, 403, now);
    const WatcherKey key{request.uri().address_of_record(), node};
    const auto expires = std::min<std::uint32_t>(request.expires_s().value_or(0), 3600);
    if (expires == 0) {
        watchers_.erase(key);
        return exchange_.answer(event.id, 200, now);
    }
    if (watchers_.size() >= kMaxWatchers && !watchers_.contains(key)) return exchange_.answer(event.id, 503, now);
    if (wanted_.empty() && watchers_.empty()) here_ = calls_here();
    auto& watcher = watchers_[key];
    if (watcher.tag.empty()) watcher.tag = exchange_.transactions.make_tag();
    watcher.subscribe = request;
    watcher.flow = event.flow;
    watcher.until = now.steady + std::chrono::seconds(expires);
    auto response = Message::response(request, 200, {}, watcher.tag);
    response.set_expires_s(expires);
    response.set_contacts({NameAddr::of(Uri::of("meshd", exchange_.local_toward(event.flow)))});
    exchange_.transactions.respond(event.id, response, now);
    watcher.sent = "?";  // whatever he knows, he is told
    next_look_ = std::min(next_look_, now.steady + kLookEvery);
    tell(key, watcher, now);
}

void Watching::tell(const WatcherKey& key, Watcher& watcher, net::Now now) {
    const auto here = here_.find(key.first);
    auto body = here == here_.end() ? std::string() : calls_body(here->second);
    if (watcher.under_way != 0 || body == watcher.sent) return;
    const auto& asked = watcher.subscribe;
    const auto contact = asked.first_address("Contact");
    auto request = Message::request("NOTIFY", contact ? contact->uri : asked.from().uri);
    auto from = asked.to();
    from.params.set("tag", watcher.tag);
    request.set_from(from);
    request.set_to(asked.from());
    request.set("Call-ID", asked.call_id());
    request.set("CSeq", CSeq{++watcher.cseq, "NOTIFY"}.text());
    request.set("Event", kCallsEvent);
    request.set("Subscription-State", "active");
    request.set_contacts({NameAddr::of(Uri::of("meshd", exchange_.local_toward(watcher.flow)))});
    request.set_body(kCallsType, body);
    watcher.sent = std::move(body);
    watcher.under_way = exchange_.transactions.start(std::move(request), watcher.flow, exchange_.sent_by(watcher.flow), now);
    if (watcher.under_way != 0) client_of_[watcher.under_way] = key;
}

void Watching::notified(const RequestArrived& event, const NodeId& node, net::Now now) {
    const auto feed_at = feed_of_.find(std::string(event.message.call_id()));
    if (feed_at == feed_of_.end() || feed_at->second.second != node) return exchange_.answer(event.id, 481, now);
    auto dialogs = parse_calls_body(event.message.body());
    if (!dialogs) return exchange_.answer(event.id, 400, now);
    exchange_.answer(event.id, 200, now);
    const auto aor = feed_at->second.first;
    auto& wanted = wanted_.at(aor);
    auto& feed = wanted.feeds.at(node);
    feed.dialogs = std::move(*dialogs);
    if (!std::exchange(feed.told, true)) changed_.insert(aor);
    compose(aor, wanted);
}

bool Watching::response(ClientId id, int status, net::Now now) {
    const auto at = client_of_.find(id);
    if (at == client_of_.end()) return false;
    if (status < 200) return true;
    const auto key = at->second;
    client_of_.erase(at);
    if (const auto watcher = watchers_.find(key); watcher != watchers_.end() && watcher->second.under_way == id) {
        watcher->second.under_way = 0;
        if (status >= 300) {
            watchers_.erase(watcher);
        } else {
            tell(key, watcher->second, now);
        }
        return true;
    }
    const auto wanted = wanted_.find(key.first);
    if (wanted == wanted_.end() || status < 300) return true;
    const auto feed = wanted->second.feeds.find(key.second);
    if (feed == wanted->second.feeds.end()) return true;
    feed->second.ask_at = now.steady + kAskAgain;
    feed->second.dialogs.clear();
    if (!std::exchange(feed->second.told, true)) changed_.insert(key.first);
    compose(key.first, wanted->second);
    return true;
}

void Watching::tick(net::Now now) {
    look_at_calls(now);
    if (now.steady < next_look_) return;
    next_look_ = now.steady + kLookEvery;
    std::erase_if(watchers_, [&](const auto& entry) { return entry.second.until <= now.steady; });
    std::size_t looked = 0;
    auto at = wanted_.upper_bound(looked_at_);
    for (; at != wanted_.end() && looked < kLookAt; ++at, ++looked) {
        looked_at_ = at->first;
        look_at(at->first, at->second, now);
    }
    if (at == wanted_.end()) looked_at_.clear();
    if (wanted_.empty() && watchers_.empty()) next_look_ = net::kNever;
}

net::Steady Watching::next_deadline() const {
    const bool unseen = calls_.changes() != calls_seen_;
    return unseen ? std::min(next_look_, calls_from_) : next_look_;
}

}  // namespace voice
