#include "discovery/endpoint_cache.hpp"

#include <algorithm>
#include <utility>

namespace discovery {

void EndpointCache::good(const net::NodeKey& node, const net::Endpoint& endpoint, net::Wall when) {
    if (endpoint.is_none() || endpoint.scope != 0 || endpoint.address.is_link_local()) return;
    auto& seen = nodes_[node];
    const auto before = seen.empty() ? net::Endpoint{} : seen.front().endpoint;
    const auto known = std::ranges::find(seen, endpoint, &Seen::endpoint);
    if (known != seen.end()) {
        known->last_good = std::max(known->last_good, when);
    } else {
        seen.push_back({endpoint, when});
        changed_ = true;
    }
    std::ranges::stable_sort(seen, std::greater<>{}, &Seen::last_good);
    if (seen.size() > kEndpointsPerNode) seen.resize(kEndpointsPerNode);
    if (seen.front().endpoint != before) changed_ = true;
    if (nodes_.size() <= kNodes) return;
    const auto newest = [](const auto& entry) { return entry.second.front().last_good; };
    nodes_.erase(std::ranges::min_element(nodes_, {}, newest));
}

void EndpointCache::forget(const net::NodeKey& node) {
    if (nodes_.erase(node) > 0) changed_ = true;
}

std::vector<net::Endpoint> EndpointCache::endpoints(const net::NodeKey& node) const {
    std::vector<net::Endpoint> out;
    if (const auto found = nodes_.find(node); found != nodes_.end()) {
        for (const auto& seen : found->second) out.push_back(seen.endpoint);
    }
    return out;
}

std::vector<GoodEndpoint> EndpointCache::entries() const {
    std::vector<GoodEndpoint> out;
    for (const auto& [node, all] : nodes_) {
        for (const auto& seen : all) out.push_back({node, seen.endpoint, seen.last_good});
    }
    std::ranges::stable_sort(out, std::greater<>{}, &GoodEndpoint::last_good);
    return out;
}

void EndpointCache::load(const std::vector<GoodEndpoint>& entries) {
    for (const auto& entry : entries) good(entry.node, entry.endpoint, entry.last_good);
    changed_ = false;
}

bool EndpointCache::take_changed() { return std::exchange(changed_, false); }

}  // namespace discovery
