#include "voice/lookup.hpp"

#include "net/text.hpp"

#include <algorithm>

namespace voice {

Aor Lookup::callee_of(const Uri& uri) const {
    auto aor = uri.address_of_record();
    if (is_known(aor)) return aor;
    const auto user = uri.is_tel() ? uri.address_of_record() : uri.user_unescaped();
    auto ours = user + "@" + exchange_.settings.domain;
    if (is_known(ours)) return ours;
    for (const auto& name : exchange_.settings.dial_plan.names_of(user)) {
        if (auto owner = exchange_.directory().aor_of_number(name)) return *owner;
    }
    return aor;
}

std::optional<std::string> Lookup::number_of(const Uri& uri, const Flow& came_by) const {
    if (uri.is_tel()) return exchange_.settings.dial_plan.e164(uri.address_of_record());
    if (is_foreign(uri, came_by)) return std::nullopt;
    return exchange_.settings.dial_plan.e164(uri.user_unescaped());
}

bool Lookup::is_foreign(const Uri& uri, const Flow& came_by) const {
    return uri.is_sip() && !net::equals_ignoring_case(uri.host, exchange_.settings.domain) && !exchange_.is_us(uri, came_by);
}

bool Lookup::is_known(const Aor& aor) const {
    return !exchange_.location.of(aor).empty() || exchange_.directory().user(aor).has_value() ||
           !exchange_.directory().nodes_with(aor).empty();
}

bool Lookup::may_speak_for(const Aor& caller, const Flow& flow) const {
    switch (flow.side) {
        case Side::centre:
            return true;
        case Side::mesh: {
            const auto node = exchange_.node_of(flow);
            return node && exchange_.directory().may_bind(*node, caller);
        }
        case Side::phone:
            return exchange_.location.from(flow, caller) != nullptr;
        case Side::outside:
        case Side::trunk:
            return false;
    }
    return false;
}

Target Lookup::phone(const Binding& binding) const {
    auto flow = binding.flow;
    flow.side = Side::phone;
    return {Path::local, flow, binding.contact.uri, binding.path, binding.token};
}

Target Lookup::centre(const Uri& uri) const {
    return {Path::central, exchange_.to_centre(), uri, {}, {}};
}

bool Lookup::has_newer_flow(const Binding& binding) const {
    if (!Location::keeps_flow(binding.contact)) return false;
    const auto instance = binding.contact.params.get("+sip.instance");
    const auto others = exchange_.location.of(binding.aor);
    return std::any_of(others.begin(), others.end(), [&](const auto* other) {
        return Location::keeps_flow(other->contact) && other->contact.params.get("+sip.instance") == instance &&
               !other->flow_lost && std::tie(other->expires, other->token) > std::tie(binding.expires, binding.token);
    });
}

std::vector<Target> Lookup::phones(const Aor& aor, const Flow& except) const {
    std::vector<Target> out;
    for (const auto* binding : exchange_.location.of(aor)) {
        if (except.side == Side::phone && binding->flow.remote == except.remote) continue;
        if (binding->flow_lost || has_newer_flow(*binding)) continue;
        out.push_back(phone(*binding));
    }
    return out;
}

bool Lookup::is_at(const Aor& aor, const Flow& flow) const {
    const auto node = exchange_.node_of(flow);
    const auto nodes = exchange_.directory().nodes_with(aor);
    return node && std::find(nodes.begin(), nodes.end(), *node) != nodes.end();
}

std::vector<Target> Lookup::nodes(const Aor& aor) const {
    std::vector<Target> out;
    const auto uri = Uri::parse("sip:" + aor);
    if (!uri) return out;
    for (const auto& node : exchange_.directory().nodes_with(aor)) {
        if (const auto flow = exchange_.to_node(node)) out.push_back({Path::mesh, *flow, *uri, {}, {}});
    }
    return out;
}

std::vector<Target> Lookup::everywhere(const Aor& aor, const Flow& except) const {
    auto out = phones(aor, except);
    for (auto& target : nodes(aor)) out.push_back(std::move(target));
    return out;
}

}  // namespace voice
