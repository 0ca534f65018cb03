#include "voice/notifier.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace voice {

namespace {

constexpr std::uint32_t kDefaultExpires = 3600;  // of all three packages
constexpr std::uint32_t kMaxExpires = 300;       // what we forget in a restart is asked for again as soon
constexpr std::uint32_t kMinExpires = 10;
constexpr std::size_t kMaxSubscriptions = 8000;
constexpr std::size_t kMaxPerSubscriber = 200;
constexpr auto kRate = std::chrono::milliseconds(500);         // from one NOTIFY to the next
constexpr auto kFirstWithin = std::chrono::milliseconds(300);  // the first waits so long for what other nodes say
constexpr auto kMoveEvery = std::chrono::milliseconds(100);
constexpr std::size_t kMoveAtOnce = 2;                         // 20 a second
constexpr auto kMoveWithin = std::chrono::seconds(5);          // that begins; all offices see it back at the same time
/// What has just come stays so long: should the centre refuse it again, they would go round.
constexpr auto kStays = std::chrono::seconds(60);

std::string_view name_of_event(const Message& request) {
    auto event = request.get("Event").value_or("");
    return net::trim(event.substr(0, event.find(';')));
}

}  // namespace

std::optional<Notifier::Package> Notifier::package_of(const Message& request) {
    const auto event = name_of_event(request);
    if (event == "presence") return Package::presence;
    if (event == "dialog") return Package::dialog;
    if (event == "message-summary") return Package::message_summary;
    return std::nullopt;
}

bool Notifier::serves(const Message& request) { return request.is("SUBSCRIBE") && package_of(request).has_value(); }

bool Notifier::accepts(const Message& request, Package package) {
    const auto all = request.get_all("Accept");
    if (all.empty()) return true;
    const std::string_view ours = package == Package::presence ? "application/pidf+xml"
                                  : package == Package::dialog ? "application/dialog-info+xml"
                                                               : "application/simple-message-summary";
    for (const auto line : all) {
        for (const auto entry : split_list(line)) {
            const auto type = net::trim(entry.substr(0, entry.find(';')));
            if (net::equals_ignoring_case(type, ours) || type == "*/*" || type == "application/*") return true;
        }
    }
    return false;
}

std::optional<std::uint32_t> Notifier::granted(ServerId id, const Message& request, net::Now now) {
    const auto asked = request.expires_s().value_or(kDefaultExpires);
    if (asked == 0 || asked >= kMinExpires) return std::min(asked, kMaxExpires);
    auto response = exchange_.response_to(id, 423);
    response.set("Min-Expires", std::to_string(kMinExpires));
    exchange_.transactions.respond(id, response, now);
    return std::nullopt;
}

void Notifier::accept(ServerId id, const Message& request, const Key& tag, std::uint32_t seconds, net::Now now) {
    const auto* flow = exchange_.transactions.flow_of(id);
    auto response = Message::response(request, 200, {}, tag);
    response.set_addresses("Record-Route", request.record_routes());
    if (flow != nullptr) response.set_contacts({NameAddr::of(contact_uri("meshd", exchange_.local_toward(*flow), flow->transport))});
    response.set_expires_s(seconds);
    response.set("Allow-Events", kAllowEvents);
    exchange_.transactions.respond(id, response, now);
}

void Notifier::subscribe(ServerId id, const Message& request, const Flow& from, const Aor& subscriber, bool for_now, net::Now now) {
    const auto package = package_of(request);
    if (!package) {
        auto response = exchange_.response_to(id, 489);
        response.set("Allow-Events", kAllowEvents);
        return exchange_.transactions.respond(id, response, now), void();
    }
    const auto target = lookup_.callee_of(request.uri());
    const auto contact = request.first_address("Contact");
    if (!exchange_.directory().user(target)) return exchange_.answer(id, 404, now);
    if (*package == Package::message_summary && target != subscriber) return exchange_.answer(id, 403, now);
    if (!accepts(request, *package)) return exchange_.answer(id, 406, now);
    if (!contact || contact->star) return exchange_.answer(id, 400, now, "Contact is missing");
    const auto seconds = granted(id, request, now);
    if (!seconds) return;
    const auto his = by_subscriber_.find(subscriber);
    if (subscriptions_.size() >= kMaxSubscriptions || (his != by_subscriber_.end() && his->second >= kMaxPerSubscriber)) {
        return exchange_.answer(id, 503, now, "Too many subscriptions");
    }
    const auto key = exchange_.new_token();
    auto& subscription = subscriptions_[key];
    subscription.package = *package;
    subscription.subscriber = subscriber;
    subscription.target = target;
    subscription.subscribe = request;
    subscription.subscribe.clear_body();
    for (const auto* name : {"Via", "Max-Forwards", "Contact", "Allow", "Supported", "Accept", "User-Agent", "Proxy-Authorization",
                             "Authorization", "Allow-Events", "Content-Type"}) {
        subscription.subscribe.remove(name);
    }
    subscription.contact = contact->uri;
    subscription.flow = from;
    if (const auto* binding = exchange_.location.from(from, subscriber)) subscription.token = binding->token;
    subscription.tag = key;
    subscription.remote_cseq = request.cseq().number;
    subscription.for_now = for_now;
    subscription.fetch = *seconds == 0;
    subscription.since = now.steady;
    subscription.expires = now.steady + std::chrono::seconds(*seconds);
    subscription.notify_at = now.steady;
    by_target_.emplace(target, key);
    ++by_subscriber_[subscriber];
    if (for_now) {
        ++for_now_;
        next_move_ = std::min(next_move_, now.steady + kMoveEvery);
    }
    if (*package != Package::message_summary) {
        watching_.want(target, now);
        if (!watching_.is_complete(target)) subscription.notify_at += kFirstWithin;
    }
    if (subscription.fetch) subscription.expires = subscription.notify_at;
    accept(id, request, key, *seconds, now);
    serve(key, now);
}

bool Notifier::takes(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    if (!request.is("SUBSCRIBE") || event.flow.side != Side::phone) return false;
    const auto at = subscriptions_.find(request.to_tag());
    const bool ours = at != subscriptions_.end() && at->second.subscribe.call_id() == request.call_id() &&
                      at->second.subscribe.from_tag() == request.from_tag();
    if (!ours) {
        // It names us as the notifier, and no phone: that was before we were started anew.
        const bool lost = exchange_.is_us(request.uri(), event.flow) && exchange_.location.by_token(request.uri().user) == nullptr;
        if (lost) exchange_.answer(event.id, 481, now);
        return lost;
    }
    auto& subscription = at->second;
    const auto* binding = subscription.token.empty() ? nullptr : exchange_.location.by_token(subscription.token);
    const bool his = binding != nullptr ? binding->flow.remote.address == event.flow.remote.address
                                        : subscription.flow.remote.address == event.flow.remote.address;
    if (!his) return exchange_.answer(event.id, 403, now), true;
    if (request.cseq().number <= subscription.remote_cseq) return exchange_.answer(event.id, 500, now), true;  // 12.2.2
    subscription.remote_cseq = request.cseq().number;
    const auto seconds = granted(event.id, request, now);
    if (!seconds) return true;
    subscription.flow = event.flow;
    if (const auto contact = request.first_address("Contact"); contact && !contact->star) subscription.contact = contact->uri;
    const auto key = at->first;
    accept(event.id, request, key, *seconds, now);
    if (*seconds == 0) return end(key, "timeout", now), true;
    subscription.expires = now.steady + std::chrono::seconds(*seconds);
    subscription.notify_at = now.steady;
    subscription.notified = net::Steady::min();  // RFC 6665 4.2.1.2: at once
    serve(key, now);
    return true;
}

void Notifier::schedule(const Key& key, Subscription& subscription) {
    const auto told = subscription.under_way != 0 ? net::kNever : subscription.notify_at;
    const auto due = std::min(subscription.expires, told);
    if (due == subscription.due) return;
    due_.erase({subscription.due, key});
    subscription.due = due;
    due_.emplace(due, key);
}

void Notifier::serve(const Key& key, net::Now now) {
    auto& subscription = subscriptions_.at(key);
    if (subscription.expires <= now.steady) return end(key, "timeout", now);
    if (!exchange_.directory().user(subscription.target)) return end(key, "noresource", now);
    if (subscription.notify_at <= now.steady && subscription.under_way == 0) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(subscription.expires - now.steady).count();
        subscription.notify_at = net::kNever;
        // The answer to a SUBSCRIBE is no change: a phone that begins to ring just then is told of at once.
        if (subscription.notified != net::Steady::min()) subscription.paced = now.steady + kRate;
        subscription.under_way = notify(subscription, "active;expires=" + std::to_string(left), now);
        if (subscription.under_way == 0) return erase(key);
        client_of_[subscription.under_way] = key;
    }
    schedule(key, subscription);
}

std::string Notifier::body(Subscription& subscription, bool last) {
    const auto& target = subscription.target;
    const auto state = watching_.state(target);
    switch (subscription.package) {
        case Package::presence:
            return pidf(target, state);
        case Package::message_summary:
            subscription.told_waiting = mailbox_.waiting(target);
            return message_summary(target, subscription.told_waiting);
        case Package::dialog: {
            auto dialogs = state.dialogs;
            for (auto gone : subscription.told) {
                const bool lives = std::any_of(state.dialogs.begin(), state.dialogs.end(),
                                               [&](const auto& dialog) { return dialog.id == gone.id; });
                gone.state = DialogState::terminated;
                if (!lives) dialogs.push_back(std::move(gone));
            }
            subscription.told = last ? std::vector<DialogInfo>() : state.dialogs;
            return dialog_info(target, subscription.version++, dialogs);
        }
    }
    return {};
}

ClientId Notifier::notify(Subscription& subscription, std::string_view state, net::Now now) {
    const auto& asked = subscription.subscribe;
    auto flow = subscription.flow;
    if (const auto* binding = exchange_.location.by_token(subscription.token)) {
        if (!binding->flow_lost) flow = binding->flow;  // where its phone is by now
    }
    flow.side = Side::phone;
    auto request = Message::request("NOTIFY", subscription.contact);
    auto from = asked.to();
    from.params.set("tag", subscription.tag);
    request.set_from(from);
    request.set_to(asked.from());
    request.set("Call-ID", asked.call_id());
    request.set("CSeq", CSeq{++subscription.cseq, "NOTIFY"}.text());
    if (const auto routes = asked.record_routes(); !routes.empty()) request.set_addresses("Route", routes);
    request.set_contacts({NameAddr::of(contact_uri("meshd", exchange_.local_toward(flow), flow.transport))});
    request.set("Event", asked.get("Event").value_or(""));
    request.set("Subscription-State", state);
    const auto text = body(subscription, state.starts_with("terminated"));
    const char* type = subscription.package == Package::presence ? "application/pidf+xml"
                       : subscription.package == Package::dialog ? "application/dialog-info+xml"
                                                                 : "application/simple-message-summary";
    request.set_body(type, text);
    subscription.notified = now.steady;
    return exchange_.transactions.start(std::move(request), flow, exchange_.sent_by(flow), now);
}

void Notifier::end(const Key& key, std::string_view reason, net::Now now) {
    auto& subscription = subscriptions_.at(key);
    notify(subscription, "terminated;reason=" + std::string(reason), now);  // whatever is said to it, it is over
    erase(key);
}

void Notifier::erase(const Key& key) {
    const auto at = subscriptions_.find(key);
    if (at == subscriptions_.end()) return;
    auto& subscription = at->second;
    due_.erase({subscription.due, key});
    client_of_.erase(subscription.under_way);
    if (subscription.package != Package::message_summary) watching_.unwant(subscription.target);
    const auto [first, last] = by_target_.equal_range(subscription.target);
    by_target_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == key; }));
    const auto his = by_subscriber_.find(subscription.subscriber);
    if (--his->second == 0) by_subscriber_.erase(his);
    if (subscription.for_now) --for_now_;
    subscriptions_.erase(at);
}

bool Notifier::response(ClientId id, int status, net::Now now) {
    const auto at = client_of_.find(id);
    if (at == client_of_.end()) return false;
    if (status < 200) return true;
    const auto key = at->second;
    client_of_.erase(at);
    auto& subscription = subscriptions_.at(key);
    subscription.under_way = 0;
    if (status >= 300) {
        erase(key);  // RFC 6665 4.2.2
    } else {
        serve(key, now);
    }
    return true;
}

std::vector<Notifier::Key> Notifier::keys_of(const Aor& target) const {
    std::vector<Key> out;
    const auto [first, last] = by_target_.equal_range(target);
    std::transform(first, last, std::back_inserter(out), [](const auto& entry) { return entry.second; });
    return out;
}

void Notifier::follow(const std::set<Aor>& mail_changed, net::Now now) {
    for (const auto& aor : mail_changed) {
        for (const auto& key : keys_of(aor)) {
            auto& subscription = subscriptions_.at(key);
            if (subscription.package != Package::message_summary || subscription.told_waiting == mailbox_.waiting(aor)) continue;
            subscription.notify_at = std::min(subscription.notify_at, std::max(now.steady, subscription.paced));
            serve(key, now);
        }
    }
    for (const auto& aor : watching_.take_changed()) {
        const bool complete = watching_.is_complete(aor);
        for (const auto& key : keys_of(aor)) {
            auto& subscription = subscriptions_.at(key);
            if (subscription.package == Package::message_summary) continue;
            const bool first_one = subscription.notified == net::Steady::min();
            if (first_one && !complete) continue;
            const auto at = first_one ? now.steady : std::max(now.steady, subscription.paced);
            subscription.notify_at = std::min(subscription.notify_at, at);
            if (first_one && subscription.fetch) subscription.expires = now.steady;
            serve(key, now);
        }
    }
}

void Notifier::tick(net::Now now) {
    while (!due_.empty() && due_.begin()->first <= now.steady) {
        const auto key = due_.begin()->second;
        due_.erase(due_.begin());
        subscriptions_.at(key).due = net::kNever;
        serve(key, now);
    }
    if (next_move_ <= now.steady) move_over(now);
}

void Notifier::move_over(net::Now now) {
    next_move_ = for_now_ == 0 ? net::kNever : now.steady + (exchange_.centre_up() ? net::Duration(kMoveEvery) : net::Duration(std::chrono::seconds(1)));
    if (for_now_ == 0 || !exchange_.centre_up()) {
        moving_ = false;
        return;
    }
    if (!moving_) {
        moving_ = true;
        const auto steps = static_cast<std::uint64_t>(kMoveWithin / std::chrono::milliseconds(1));
        next_move_ = now.steady + std::chrono::milliseconds(exchange_.random.below(steps));
        return;
    }
    if (exchange_.centre_busy()) return;
    std::vector<Key> over;
    for (const auto& [key, subscription] : subscriptions_) {
        if (over.size() == kMoveAtOnce) break;
        if (subscription.for_now && now.steady - subscription.since >= kStays) over.push_back(key);
    }
    for (const auto& key : over) end(key, "deactivated", now);
}

}  // namespace voice
