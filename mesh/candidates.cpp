#include "mesh/candidates.hpp"

#include <algorithm>
#include <tuple>

namespace mesh {

std::string_view text(Source source) {
    switch (source) {
        case Source::mdns: return "mdns";
        case Source::cache: return "cache";
        case Source::join: return "join";
        case Source::gossip: return "gossip";
        case Source::bootstrap: return "bootstrap";
    }
    return "";
}

bool Candidates::usable(const net::Endpoint& endpoint) {
    return !endpoint.is_none() && endpoint.port != 0 && !endpoint.address.is_multicast() &&
           !endpoint.address.is_unspecified();
}

bool Candidates::add(const net::Endpoint& endpoint, Source source, net::Steady now) {
    if (!usable(endpoint)) return false;
    const auto known = std::find_if(all_.begin(), all_.end(), [&](const auto& one) { return one.endpoint == endpoint; });
    if (known != all_.end()) {
        known->added = now;
        if (known->proven == net::Steady::min()) known->source = std::min(known->source, source);
        return false;
    }
    if (all_.size() == kMax) {
        all_.erase(std::min_element(all_.begin(), all_.end(), [](const auto& a, const auto& b) {
            return std::tie(a.proven, a.added) < std::tie(b.proven, b.added);
        }));
    }
    all_.push_back({endpoint, source, now});
    return true;
}

void Candidates::good(const net::Endpoint& endpoint, net::Steady now) {
    if (!source_of(endpoint)) add(endpoint, Source::gossip, now);
    for (auto& one : all_)
        if (one.endpoint == endpoint) one.proven = now;
}

bool Candidates::replace(Source source, std::span<const net::Endpoint> endpoints, net::Steady now) {
    std::erase_if(all_, [&](const auto& one) {
        return one.source == source && one.proven == net::Steady::min() &&
               std::find(endpoints.begin(), endpoints.end(), one.endpoint) == endpoints.end();
    });
    bool news = false;
    for (const auto& endpoint : endpoints) news |= add(endpoint, source, now);
    return news;
}

std::vector<net::Endpoint> Candidates::best(std::size_t limit) const {
    auto sorted = all_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
        return a.proven != b.proven ? a.proven > b.proven : a.source < b.source;
    });
    std::vector<net::Endpoint> out;
    for (const auto& one : sorted)
        if (out.size() < limit) out.push_back(one.endpoint);
    return out;
}

std::optional<Source> Candidates::source_of(const net::Endpoint& endpoint) const {
    for (const auto& one : all_)
        if (one.endpoint == endpoint) return one.source;
    return std::nullopt;
}

}  // namespace mesh
