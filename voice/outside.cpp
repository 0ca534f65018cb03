#include "voice/outside.hpp"

#include <algorithm>

namespace voice {

bool Outside::ask(const RequestArrived& event, const Aor& caller, const Aor& callee, bool other_way, net::Now now) {
    if (!event.message.is("INVITE") || lookup_.is_known(callee)) return false;
    const auto& uri = event.message.uri();
    NameQuery id = 0;
    if (auto number = lookup_.number_of(uri, event.flow)) {
        id = exchange_.names.find_number(std::move(*number), now);
    } else if (lookup_.is_foreign(uri, event.flow)) {
        id = exchange_.names.find_uri(uri, now);
    }
    if (id == 0) return false;
    if (other_way && exchange_.names.is_open(id) && exchange_.names.is_silent(now)) {
        exchange_.names.forget(id);  // but DNS is asked, and if it answers the next caller waits for it again
        return false;
    }
    waiting_.insert_or_assign(id, Waiting{event, caller, callee, other_way ? now.steady + kPatience : net::kNever});
    return true;
}

std::optional<Outside::Waiting> Outside::take(NameQuery id) {
    auto node = waiting_.extract(id);
    return node.empty() ? std::nullopt : std::optional(std::move(node.mapped()));
}

std::vector<Outside::Waiting> Outside::take_late(net::Now now) {
    std::vector<Waiting> out;
    std::erase_if(waiting_, [&](auto& entry) {
        const bool other_way = entry.second.until != net::kNever;
        if (entry.second.until > now.steady && !(other_way && exchange_.names.is_silent(now))) return false;
        exchange_.names.forget(entry.first);
        out.push_back(std::move(entry.second));
        return true;
    });
    return out;
}

net::Steady Outside::next_deadline() const {
    auto next = net::kNever;
    for (const auto& [id, waiting] : waiting_) next = std::min(next, waiting.until);
    return next;
}

bool Outside::forget(ServerId id) {
    const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& entry) { return entry.second.event.id == id; });
    if (at == waiting_.end()) return false;
    exchange_.names.forget(at->first);
    waiting_.erase(at);
    return true;
}

std::vector<Target> Outside::targets(const NameFound& found, const Flow& except, net::Now now) {
    std::vector<Target> out;
    for (const auto& lead : found.leads) {
        if (!lookup_.is_foreign(lead.uri, except)) {
            // The number's URI is of our own domain: all phones of that user ring together, as ever.
            auto ours = lookup_.everywhere(lookup_.callee_of(lead.uri), except);
            // RFC 3261 section 26.2.2: TLS to the very phone, or not at all. What another office's phone speaks is not known.
            if (lead.uri.scheme == "sips") {
                std::erase_if(ours, [](const auto& t) { return t.path != Path::local || t.flow.transport != Transport::tls; });
            }
            if (out.empty() && !ours.empty()) return ours;
            continue;
        }
        for (const auto& hop : lead.at.hops) {
            if (!may_be_called(hop.endpoint)) continue;
            // RFC 5922 section 7.1: the certificate is for the domain that was asked for, not for what DNS made of it.
            exchange_.outside.add(hop.endpoint, now, hop.transport == Transport::tls ? lead.uri.host : "");
            auto uri = lead.uri;
            uri.headers.clear();  // RFC 3261 section 19.1.1: no Request-URI has headers, or a method
            uri.params.remove("method");
            out.push_back({Path::outside, exchange_.flow_to(hop.endpoint, hop.transport, Side::outside), std::move(uri), {}, {}});
        }
    }
    return out;
}

bool Outside::may_be_called(const net::Endpoint& endpoint) const {
    // A stranger's zone may say anything: our own sockets, the mesh's inside and the centre are no places outside.
    const auto& address = endpoint.address;
    if (address.is_loopback() || address.is_link_local() || exchange_.is_centre(endpoint)) return false;
    if (exchange_.directory().node_at(address) || exchange_.environment.overlay() == address) return false;
    return exchange_.flow_to(endpoint, Transport::udp, Side::outside).local.address != address;
}

}  // namespace voice
