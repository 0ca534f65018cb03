#include "voice/location.hpp"

#include <algorithm>

namespace voice {

namespace {

net::Wall wall_of(net::Steady at, net::Now now) {
    return now.wall + std::chrono::duration_cast<net::Wall::duration>(at - now.steady);
}

}  // namespace

bool Location::put(Binding binding, net::Now now) {
    const auto old = by_token_.find(binding.token);
    if (old == by_token_.end()) {
        if (by_token_.size() >= max_bindings_ || tokens_of_.count(binding.aor) >= max_per_aor_) return false;
        tokens_of_.emplace(binding.aor, binding.token);
    } else {
        unlink(old->second);
    }
    by_expiry_.emplace(binding.expires, binding.token);
    ++count_at_[binding.flow.remote.address];
    const auto aor = binding.aor;
    auto token = binding.token;
    by_token_.insert_or_assign(std::move(token), std::move(binding));
    note(aor, now);
    return true;
}

void Location::remove(const std::string& token, net::Now now) {
    const auto at = by_token_.find(token);
    if (at == by_token_.end()) return;
    unlink(at->second);
    const auto aor = at->second.aor;
    const auto [first, last] = tokens_of_.equal_range(aor);
    tokens_of_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == token; }));
    by_token_.erase(at);
    note(aor, now);
}

bool Location::keeps_flow(const NameAddr& contact) {
    return contact.params.has("+sip.instance") && contact.params.has("reg-id");
}

void Location::lose_connection(std::uint64_t connection, net::Now now) {
    if (connection == 0) return;
    for (auto& [token, binding] : by_token_) {
        if (binding.flow.connection != connection) continue;
        binding.flow.connection = 0;
        if (keeps_flow(binding.contact)) {
            binding.flow_lost = true;
            note(binding.aor, now);
            continue;
        }
        const auto contact = binding.contact.uri.endpoint();
        if (contact && contact->address == binding.flow.remote.address) binding.flow.remote = *contact;
    }
}

void Location::tick(net::Now now) {
    while (!by_expiry_.empty() && by_expiry_.begin()->first <= now.steady) {
        const auto token = by_expiry_.begin()->second;
        remove(token, now);
    }
}

net::Steady Location::next_deadline() const {
    const auto expiry = by_expiry_.empty() ? net::kNever : by_expiry_.begin()->first;
    return changes_.empty() ? expiry : std::min(expiry, tell_from_);
}

const Binding* Location::by_token(const std::string& token) const {
    const auto at = by_token_.find(token);
    return at == by_token_.end() ? nullptr : &at->second;
}

const Binding* Location::find(const Aor& aor, const Uri& contact) const {
    for (const auto* binding : of(aor)) {
        if (binding->contact.uri.equivalent(contact)) return binding;
    }
    return nullptr;
}

std::vector<const Binding*> Location::of(const Aor& aor) const {
    std::vector<const Binding*> out;
    const auto [first, last] = tokens_of_.equal_range(aor);
    for (auto at = first; at != last; ++at) out.push_back(&by_token_.at(at->second));
    std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) {
        return std::pair(-a->contact.q(), a->token) < std::pair(-b->contact.q(), b->token);
    });
    return out;
}

const Binding* Location::from(const Flow& flow, const Aor& aor) const {
    const auto same = [&](const Binding& binding) {
        if (binding.flow.transport != flow.transport) return false;
        if (flow.connection == 0) return binding.flow.remote == flow.remote;
        return binding.flow.connection == flow.connection ||
               (binding.flow.connection == 0 && binding.flow.remote.address == flow.remote.address);
    };
    for (const auto* binding : of(aor)) {
        if (same(*binding)) return binding;
    }
    return nullptr;
}

std::size_t Location::count_at(const net::IpAddress& address) const {
    const auto at = count_at_.find(address);
    return at == count_at_.end() ? 0 : at->second;
}

bool Location::is_at(const net::Endpoint& remote) const {
    return std::any_of(by_token_.begin(), by_token_.end(), [&](const auto& entry) { return entry.second.flow.remote == remote; });
}

std::vector<const Binding*> Location::all() const {
    std::vector<const Binding*> out;
    for (const auto& [token, binding] : by_token_) out.push_back(&binding);
    std::sort(out.begin(), out.end(),
              [](const auto* a, const auto* b) { return std::tie(a->aor, a->token) < std::tie(b->aor, b->token); });
    return out;
}

std::vector<BindingChanged> Location::take_changes(net::Now now) {
    std::vector<BindingChanged> out;
    if (changes_.empty() || now.steady < tell_from_) return out;
    tell_from_ = now.steady + kTellEvery;
    for (auto& [aor, until] : changes_) out.push_back({aor, until});
    changes_.clear();
    return out;
}

void Location::unlink(const Binding& binding) {
    by_expiry_.erase({binding.expires, binding.token});
    const auto count = count_at_.find(binding.flow.remote.address);  // which is the same for as long as it is here
    if (--count->second == 0) count_at_.erase(count);
}

void Location::note(const Aor& aor, net::Now now) {
    std::optional<net::Wall> until;
    for (const auto* binding : of(aor)) {
        if (binding->flow_lost) continue;
        until = std::max(until.value_or(now.wall), wall_of(binding->expires, now));
    }
    changes_[aor] = until;
}

}  // namespace voice
