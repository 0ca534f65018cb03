#include "voice/centre_lamps.hpp"

#include <algorithm>
#include <cassert>

#include "net/text.hpp"
#include "voice/kept_dialog.hpp"

namespace voice {

namespace {

constexpr auto kTurnEvery = std::chrono::milliseconds(20);  // 50 a second
constexpr auto kSpread = std::chrono::seconds(5);
constexpr auto kAgain = std::chrono::seconds(15);  // behind 32 s without an answer
constexpr unsigned kMostDoublings = 4;
constexpr auto kKeptEnough = std::chrono::minutes(1);  // as each NOTIFY rounds anew what is left
constexpr std::uint32_t kUnseen = 1'000'000;  // RFC 3261 section 12.2.2: numbers may be left out
constexpr std::uint32_t kDefaultExpires = 3600;  // of all three packages
constexpr std::uint32_t kMaxExpires = 24 * 3600;

struct SubscriptionState {
    bool terminated = false;
    std::uint32_t expires_s = kDefaultExpires;
};
/// RFC 6665 section 8.2.3 ("active;expires=600").
SubscriptionState state_of(const Message& notify) {
    SubscriptionState out;
    const auto text = notify.get("Subscription-State").value_or("");
    const auto end = std::min(text.find(';'), text.size());
    out.terminated = net::equals_ignoring_case(net::trim(text.substr(0, end)), "terminated");
    const auto params = Params::parse(text.substr(std::min(end + 1, text.size())));
    const auto expires = params ? params->get("expires") : std::nullopt;
    if (!expires) return out;
    if (const auto seconds = net::parse_decimal(*expires, UINT32_MAX)) {
        out.expires_s = static_cast<std::uint32_t>(std::min<std::uint64_t>(*seconds, kMaxExpires));
    }
    return out;
}

}  // namespace

CentreLamps::Key CentreLamps::key_of(std::string_view call_id, const std::string& centre, const std::string& phone) {
    return std::string(call_id) + ' ' + centre + ' ' + phone;
}

bool CentreLamps::takes(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    const bool notify = request.is("NOTIFY") && event.flow.side == Side::centre;
    if (!notify && !(request.is("SUBSCRIBE") && event.flow.side == Side::phone)) return false;
    const auto at = dialogs_.find(notify ? key_of(request.call_id(), request.from_tag(), request.to_tag())
                                         : key_of(request.call_id(), request.to_tag(), request.from_tag()));
    if (at == dialogs_.end()) return false;
    switch (at->second.state) {
        case State::known:
        case State::leaving:
            return false;
        case State::told:
        case State::moved:
            exchange_.answer(event.id, 481, now);
            return true;
    }
    return false;
}

bool CentreLamps::can_serve(const Message& notify, const Flow& phone) const {
    const auto package = Notifier::package_of(notify);
    const auto target = lookup_.callee_of(notify.from().uri);
    const auto subscriber = notify.to().uri.address_of_record();
    if (!package || !exchange_.directory().user(target)) return false;
    if (*package == Notifier::Package::message_summary && target != subscriber) return false;
    return lookup_.may_speak_for(subscriber, phone) || credentials_.provisioned(subscriber);
}

void CentreLamps::passing(const Message& notify, const Target& target, net::Now now) {
    const auto key = key_of(notify.call_id(), notify.from_tag(), notify.to_tag());
    const auto state = state_of(notify);
    if (target.flow.side != Side::phone || state.terminated || state.expires_s == 0 || !can_serve(notify, target.flow)) return erase(key);
    if (!dialogs_.contains(key) && dialogs_.size() >= kMost) {
        ++dropped_;
        return;
    }
    auto& dialog = dialogs_[key];
    const auto cseq = notify.cseq().number;
    if (cseq < dialog.heard_cseq) return;  // late: a newer one has passed
    dialog.heard_cseq = cseq;
    dialog.cseq = std::max(dialog.cseq, cseq);
    dialog.unseen = 0;
    const bool moved = dialog.flow.remote != target.flow.remote || dialog.flow.transport != target.flow.transport || dialog.token != target.token;
    dialog.flow = target.flow;
    dialog.token = target.token;
    dialog.notify = notify;
    dialog.notify.set_uri(target.uri);
    dialog.notify.clear_body();
    for (const auto* name : {"Via", "Route", "Record-Route", "Content-Type"}) dialog.notify.remove(name);
    if (!target.routes.empty()) dialog.notify.set_addresses("Route", target.routes);
    dialog.heard = now.steady;
    dialog.expires = now.steady + std::chrono::seconds(state.expires_s);
    if (dialog.state == State::leaving && exchange_.centre_up()) dialog.state = State::known;
    if (dialog.state == State::known) set_due(key, dialog, dialog.expires);
    keep(dialog, moved, now);
}

void CentreLamps::keep(Dialog& dialog, bool moved, net::Now now) {
    if (dialog.state == State::moved || (!moved && std::chrono::abs(dialog.expires - dialog.kept_expires) < kKeptEnough)) return;
    const auto wall = now.wall + (dialog.expires - now.steady);
    auto value = kept_value({dialog.notify, dialog.flow.transport, dialog.flow.remote, dialog.token, wall});
    if (value.empty()) return keep_no_longer(dialog);
    if (dialog.name.empty()) dialog.name = std::string(kKept) + exchange_.new_token();
    dialog.kept_expires = dialog.expires;
    changes_[dialog.name] = std::move(value);
}

void CentreLamps::keep_no_longer(Dialog& dialog) {
    if (!dialog.name.empty()) changes_[dialog.name] = {};
    dialog.name.clear();
}

void CentreLamps::restore(const std::map<std::string, net::Bytes>& values, net::Now now) {
    for (auto value = values.lower_bound(std::string(kKept)); value != values.end() && value->first.starts_with(kKept); ++value) {
        auto kept = kept_dialog(value->second);
        if (!kept || kept->expires <= now.wall || dialogs_.size() >= kMost) {
            changes_[value->first] = {};
            continue;
        }
        Dialog dialog;
        const auto left = std::min<net::Duration>(kept->expires - now.wall, std::chrono::seconds(kMaxExpires));
        dialog.flow = exchange_.flow_to(kept->phone, kept->transport, Side::phone);
        dialog.token = std::move(kept->token);
        dialog.cseq = dialog.heard_cseq = kept->notify.cseq().number;
        dialog.unseen = kUnseen;
        dialog.notify = std::move(kept->notify);
        dialog.expires = dialog.kept_expires = now.steady + left;
        dialog.name = value->first;
        const auto key = key_of(dialog.notify.call_id(), dialog.notify.from_tag(), dialog.notify.to_tag());
        const auto [at, is_new] = dialogs_.emplace(key, std::move(dialog));
        if (is_new) {
            set_due(at->first, at->second, at->second.expires);
        } else {
            changes_[value->first] = {};
        }
    }
}

void CentreLamps::answered(const Message& notify, int status) {
    if (status != 481) return;
    const auto at = dialogs_.find(key_of(notify.call_id(), notify.from_tag(), notify.to_tag()));
    if (at != dialogs_.end() && at->second.state != State::told) erase(at->first);
}

void CentreLamps::lost(net::Now now) {
    doubt_.reset();
    leave(net::kNever, now);
}

void CentreLamps::leave(net::Steady unheard_since, net::Now now) {
    const auto spread = kSpread + dialogs_.size() * kTurnEvery;
    for (auto& [key, dialog] : dialogs_) {
        if (dialog.state == State::known && dialog.heard < unheard_since) leave(key, dialog, spread, now);
    }
}

void CentreLamps::leave(const Key& key, Dialog& dialog, net::Duration spread, net::Now now) {
    dialog.state = State::leaving;
    dialog.tries = 0;
    const auto steps = static_cast<std::uint64_t>(spread / std::chrono::milliseconds(1));
    set_due(key, dialog, now.steady + std::chrono::milliseconds(exchange_.random.below(steps)));
}

void CentreLamps::may_have_forgotten(net::Now now) {
    for (auto& [id, key] : asked_) key.clear();
    std::vector<Key> drawn;
    std::uint64_t seen = 0;
    for (const auto& [key, dialog] : dialogs_) {
        if (dialog.state != State::known) continue;
        ++seen;
        if (drawn.size() < kAsked) {
            drawn.push_back(key);
        } else if (const auto place = exchange_.random.below(seen); place < kAsked) {
            drawn[place] = key;
        }
    }
    doubt_ = Doubt{now.steady, 0, 0, 0};
    for (const auto& key : drawn) {
        if (ask(key, now)) ++doubt_->open;
    }
}

bool CentreLamps::ask(const Key& key, net::Now now) {
    const auto& dialog = dialogs_.at(key);
    const auto centre = dialog.notify.first_address("Contact");
    if (!centre) return false;
    auto subscribe = Message::request("SUBSCRIBE", centre->uri);
    subscribe.set_from(dialog.notify.to());
    subscribe.set_to(dialog.notify.from());
    subscribe.set("Call-ID", dialog.notify.call_id());
    subscribe.set("CSeq", CSeq{0, "SUBSCRIBE"}.text());
    subscribe.set("Event", dialog.notify.get("Event").value_or(""));
    subscribe.set_contacts({NameAddr::of(dialog.notify.uri())});
    // One that does not look at the number is told nothing new.
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(dialog.expires - now.steady).count();
    subscribe.set_expires_s(static_cast<std::uint32_t>(std::max<std::int64_t>(left, 1)));
    const auto flow = exchange_.to_centre();
    const auto id = exchange_.transactions.start(std::move(subscribe), flow, exchange_.sent_by(flow), now);
    if (id != 0) asked_[id] = key;
    return id != 0;
}

void CentreLamps::judge(const Key& key, int status, net::Now now) {
    if (key.empty() || !doubt_) return;
    --doubt_->open;
    // What else it may say, such as that it wants a password, tells nothing.
    if (status < 300 || status == 400 || status == 500) ++doubt_->remembered;
    if (status == 481) {
        ++doubt_->forgotten;
        const auto at = dialogs_.find(key);
        const bool stands = at != dialogs_.end() && at->second.state == State::known && at->second.heard < doubt_->since;
        if (stands) leave(at->first, at->second, kSpread, now);
    }
    if (doubt_->open > 0) return;
    if (doubt_->forgotten > 0 && doubt_->remembered == 0) leave(doubt_->since, now);
    doubt_.reset();
}

void CentreLamps::tell(const Key& key, Dialog& dialog, net::Now now) {
    auto notify = dialog.notify;
    dialog.cseq += std::exchange(dialog.unseen, 0) + 1;
    notify.set("CSeq", CSeq{dialog.cseq, "NOTIFY"}.text());
    notify.set("Subscription-State", "terminated;reason=deactivated");
    notify.set_max_forwards(70);
    const auto id = exchange_.transactions.start(std::move(notify), dialog.flow, exchange_.sent_by(dialog.flow), now);
    if (id == 0) return set_due(key, dialog, now.steady + kAgain);
    dialog.state = State::told;
    client_of_[id] = key;
    set_due(key, dialog, dialog.expires);
}

bool CentreLamps::response(ClientId id, int status, net::Now now) {
    if (const auto asked = asked_.find(id); asked != asked_.end()) {
        if (status < 200) return true;
        const auto key = std::move(asked->second);
        asked_.erase(asked);
        judge(key, status, now);
        return true;
    }
    const auto client = client_of_.find(id);
    if (client == client_of_.end()) return false;
    if (status < 200) return true;
    const auto at = dialogs_.find(client->second);
    client_of_.erase(client);
    if (at == dialogs_.end()) return true;  // expired meanwhile
    auto& dialog = at->second;
    if (is_outage(status)) {
        dialog.state = State::leaving;
        const auto wait = kAgain * (1U << std::min(dialog.tries++, kMostDoublings));
        set_due(at->first, dialog, now.steady + wait + std::chrono::milliseconds(exchange_.random.below(5000)));
    } else {
        dialog.state = State::moved;
        dialog.notify = {};
        keep_no_longer(dialog);
    }
    return true;
}

void CentreLamps::set_due(const Key& key, Dialog& dialog, net::Steady due) {
    due_.erase({dialog.due, key});
    dialog.due = std::min(due, dialog.expires);
    due_.emplace(dialog.due, key);
}

void CentreLamps::erase(const Key& key) {
    const auto at = dialogs_.find(key);
    if (at == dialogs_.end()) return;
    due_.erase({at->second.due, at->first});
    keep_no_longer(at->second);
    dialogs_.erase(at);
}

std::size_t CentreLamps::serving() const {
    const auto count = std::count_if(dialogs_.begin(), dialogs_.end(), [](const auto& entry) { return entry.second.state != State::moved; });
    return static_cast<std::size_t>(count);
}

net::Steady CentreLamps::next_deadline() const {
    return due_.empty() ? net::kNever : std::max(due_.begin()->first, next_turn_);
}

void CentreLamps::tick(net::Now now) {
    while (next_deadline() <= now.steady) {
        const auto key = due_.begin()->second;
        auto& dialog = dialogs_.at(key);
        if (dialog.expires <= now.steady) {
            erase(key);
            continue;
        }
        assert(dialog.state == State::leaving);
        if (const auto* binding = exchange_.location.by_token(dialog.token)) {
            if (!binding->flow_lost) dialog.flow = binding->flow;  // where its phone is by now
        }
        if (!can_serve(dialog.notify, dialog.flow)) {
            erase(key);
            continue;
        }
        next_turn_ = now.steady + kTurnEvery;
        tell(key, dialog, now);
    }
}

}  // namespace voice
