#include "meshd/path_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace meshd {

using nlohmann::json;

namespace {

using mesh::NatMapping;
using mesh::PeerState;

const char* state_name(PeerState state) {
    switch (state) {
        case PeerState::idle: return "idle";
        case PeerState::connecting: return "connecting";
        case PeerState::session: return "session";
    }
    return "";
}

const char* udp_name(Udp udp) {
    switch (udp) {
        case Udp::unknown: return "unknown";
        case Udp::works: return "works";
        case Udp::blocked: return "blocked";
    }
    return "";
}

template <class T, class Show>
json null_or(const std::optional<T>& value, Show show) {
    return value ? json(show(*value)) : json(nullptr);
}

json s_json(const std::optional<std::chrono::milliseconds>& span) {
    return null_or(span, [](auto one) { return static_cast<double>(one.count()) / 1000; });
}

json ms_json(const std::optional<std::chrono::microseconds>& span) {
    return null_or(span, [](auto one) { return static_cast<double>(one.count()) / 1000; });
}

/// Where a way leads: an endpoint, a member that passes on, or the other end of a TLS connection.
void put_place(const mesh::Node& node, const net::Endpoint& to, const std::optional<net::NodeKey>& relay,
               const std::optional<net::Endpoint>& stream, json& out) {
    const auto udp = mesh::udp_endpoint(to);
    out["endpoint"] = udp.is_none() ? json(nullptr) : json(udp.text());
    out["own_port"] = udp.is_none() || !mesh::is_virtual(to);  // false: by a further socket, which birthday probing found
    out["relay"] = null_or(relay, [&](const auto& key) { return node.name_of(key); });
    out["stream"] = null_or(stream, [](const auto& endpoint) { return endpoint.text(); });
}

bool is_public(const net::IpAddress& address) {
    return !address.is_private() && !address.is_loopback() && !address.is_multicast() && !address.is_unspecified();
}

const mesh::PeerReport* find(const std::vector<mesh::PeerReport>& peers, const net::NodeKey& key) {
    const auto found = std::find_if(peers.begin(), peers.end(), [&](const auto& peer) { return peer.key == key; });
    return found == peers.end() ? nullptr : &*found;
}

bool in_session(const mesh::PeerReport& peer) { return !peer.stock && peer.state == PeerState::session && peer.rank; }

Udp own_udp(const mesh::NetworkReport& network, const std::vector<mesh::PeerReport>& peers) {
    if (network.v4 != NatMapping::unknown || network.v6 != NatMapping::unknown) return Udp::works;
    bool by_stream = false;
    for (const auto& peer : peers) {
        if (!in_session(peer)) continue;
        if (is_direct(*peer.rank) && *peer.rank != mesh::Rank::lan) return Udp::works;
        by_stream |= peer.rank == mesh::Rank::stream;
    }
    return by_stream ? Udp::blocked : Udp::unknown;
}

PathFacts::Side side_here(const mesh::Node& node, const mesh::NetworkReport& network, const std::vector<mesh::PeerReport>& peers) {
    PathFacts::Side out;
    out.name = node.self().says.name;
    out.nat = network.v4;
    out.udp = own_udp(network, peers);
    out.v4 = network.local.empty();
    for (const auto& endpoint : network.local) {
        out.v4 |= endpoint.address.is_v4();
        out.port = endpoint.port;
        out.v6 |= endpoint.address.is_v6() && is_public(endpoint.address);
    }
    for (const auto& one : network.seen)
        if (one.seen.address.is_v4() && is_public(one.seen.address)) out.outside = one.seen.address;
    return out;
}

/// As its own record and its word in the session tell.
PathFacts::Side side_there(const mesh::Node& node, const mesh::WayReport& report, Udp here) {
    PathFacts::Side out;
    out.name = report.name;
    out.nat = report.its_nat;
    const auto* const member = node.view().member(report.key);
    const bool known = member != nullptr && member->node.has_value();
    bool has_v4 = false, has_v6 = false;
    bool anywhere = out.nat != NatMapping::unknown, by_stream = false;
    for (const auto& way : report.ways) {
        const auto& to = way.path.to;
        by_stream |= way.used && way.path.rank() == mesh::Rank::stream;
        if (mesh::is_virtual(to)) continue;
        (to.address.is_v4() ? has_v4 : has_v6) = true;
        if (way.path.found == mesh::Found::local) out.port = to.port;
        if (!is_public(to.address)) continue;
        anywhere = true;
        out.v6 |= to.address.is_v6();
        if (to.address.is_v4() && way.path.found == mesh::Found::seen) out.outside = to.address;
    }
    out.v4 = has_v4 || !has_v6;
    // Nobody sees it by UDP, and UDP does leave our own network.
    if (anywhere) {
        out.udp = Udp::works;
    } else if (known && by_stream && here == Udp::works) {
        out.udp = Udp::blocked;
    }
    return out;
}

PathFacts facts_of(const mesh::Node& node, const mesh::WayReport& report, net::Now now) {
    constexpr unsigned kRound = 4;  // probes
    const auto peers = node.peers(now);
    PathFacts out;
    out.here = side_here(node, node.network(now), peers);
    out.there = side_there(node, report, out.here.udp);
    out.state = report.state;
    out.attempts = report.attempts;
    for (const auto& way : report.ways) {
        if (way.used) {
            out.rank = way.path.rank();
            continue;
        }
        if (!is_direct(way.path.rank())) continue;
        ++out.candidates;
        out.any_public |= is_public(way.path.to.address);
        out.tried |= way.path.probes >= kRound;
        out.about_to_move |= way.proven_ago && *way.proven_ago < mesh::Paths::kFresh;
    }
    out.others = static_cast<std::size_t>(std::count_if(peers.begin(), peers.end(), [&](const auto& peer) {
        return peer.key != report.key && in_session(peer);
    }));
    return out;
}

json side_json(const PathFacts::Side& side) {
    return {{"name", side.name}, {"nat", mesh::text(side.nat)}, {"udp", udp_name(side.udp)}, {"ipv6", side.v6}, {"port", side.port},
            {"seen_at", null_or(side.outside, [](const auto& address) { return address.text(); })}};
}

json way_json(const mesh::Node& node, const mesh::WayReport::Way& way) {
    const auto& path = way.path;
    json out = {{"rank", mesh::text(path.rank())},
                {"source", mesh::text(path.source)},
                {"found", path.found == mesh::Found::unsaid ? json(nullptr) : json(mesh::text(path.found))},
                {"used", way.used},
                {"asked", way.asked},
                {"tried_s", s_json(way.tried_ago)},
                {"proven_s", s_json(way.proven_ago)},
                {"refused_s", s_json(way.refused_ago)},
                {"rtt_ms", ms_json(path.rtt)},
                {"loss", null_or(way.loss, [](double loss) { return loss; })},
                {"probes", path.probes},
                {"answers", path.answers}};
    put_place(node, path.to, way.relay, way.stream, out);
    return out;
}

/// The relay in use, and what speaks for it.
json relay_json(const mesh::Node& node, const mesh::WayReport& report, const std::vector<mesh::PeerReport>& peers) {
    const mesh::WayReport::Way* used = nullptr;
    std::size_t answering = 0;
    bool shortest = true;
    for (const auto& way : report.ways)
        if (way.used && way.relay) used = &way;
    if (used == nullptr) return nullptr;
    for (const auto& way : report.ways) {
        if (!way.relay || &way == used || !way.proven_ago || *way.proven_ago > 3 * mesh::Paths::kWarmEvery) continue;
        ++answering;
        shortest &= !way.path.rtt || !used->path.rtt || *used->path.rtt <= *way.path.rtt;
    }
    const auto* const peer = find(peers, *used->relay);
    return {{"name", node.name_of(*used->relay)},
            {"role", peer != nullptr && peer->roles.has(mesh::Role::relay)},
            {"rtt_ms", peer == nullptr ? json(nullptr) : ms_json(peer->rtt)},
            {"standing_by", answering},
            {"shortest", shortest}};
}

json moves_json(const mesh::Node& node, const mesh::WayReport& report, net::Now now) {
    auto out = json::array();
    for (const auto& move : report.moves) {
        json one = {{"ago_s", std::chrono::duration<double>(now.wall - move.at).count()}, {"why", move.why}};
        put_place(node, move.to, move.relay, move.stream, one);
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace

json why_json(const mesh::Node& node, const net::NodeKey& key, net::Now now) {
    if (key == node.key()) return {{"name", node.self().says.name}, {"kind", "self"}};
    const auto peers = node.peers(now);
    const auto* const peer = find(peers, key);
    if (peer == nullptr) return nullptr;
    json out = {{"name", peer->name}, {"state", state_name(peer->state)}, {"rtt_ms", ms_json(peer->rtt)}, {"mtu", peer->mtu_bytes}};
    put_way(node, *peer, out);
    const auto report = node.why(key, now);
    if (!report) {
        out["kind"] = "stock";
        return out;
    }
    const auto facts = facts_of(node, *report, now);
    const auto verdict = judge_path(facts);
    auto ways = json::array();
    for (const auto& way : report->ways) ways.push_back(way_json(node, way));
    out["kind"] = "member";
    out["cause"] = verdict.cause;
    out["change"] = verdict.change;
    out["here"] = side_json(facts.here);
    out["there"] = side_json(facts.there);
    out["through"] = relay_json(node, *report, peers);
    out["ways"] = std::move(ways);
    out["moves"] = moves_json(node, *report, now);
    out["attempts"] = report->attempts;
    out["next_attempt_s"] = s_json(report->next_attempt_in);
    return out;
}

json netcheck_json(const mesh::Node& node, bool mapped, net::Now now) {
    const auto network = node.network(now);
    const auto peers = node.peers(now);
    const auto side = side_here(node, network, peers);
    NetworkFacts facts;
    facts.name = side.name;
    facts.port = side.port;
    facts.nat = side.nat;
    facts.udp = side.udp;
    facts.outside = side.outside;
    facts.v6 = side.v6;
    facts.mapped = mapped;
    auto mtus = json::array();
    for (const auto& peer : peers) {
        if (peer.stock) continue;
        ++facts.members;
        if (const auto* const member = node.view().member(peer.key); member->node) facts.listens_for_streams |= !member->node->streams.empty();
        if (!in_session(peer)) continue;
        ++facts.reached;
        if (!is_direct(*peer.rank)) facts.detours.push_back(peer.name);
        mtus.push_back({{"name", peer.name}, {"mtu", peer.mtu_bytes}});
    }
    const auto own = node.own_endpoints();
    auto local = json::array(), streams = json::array(), told = json::array(), seen = json::array();
    for (const auto& endpoint : network.local) local.push_back(endpoint.text());
    for (const auto& endpoint : network.streams) streams.push_back(endpoint.text());
    for (const auto& endpoint : own) told.push_back(endpoint.text());
    for (const auto& one : network.seen) seen.push_back({{"by", node.name_of(one.by)}, {"from", one.from.text()}, {"at", one.seen.text()}});
    return {{"name", side.name},
            {"local", std::move(local)},
            {"told", std::move(told)},
            {"seen", std::move(seen)},
            {"nat", {{"ipv4", mesh::text(network.v4)}, {"ipv6", mesh::text(network.v6)}}},
            {"ipv6", side.v6},
            {"udp", udp_name(side.udp)},
            {"members", {{"direct", network.direct},
                         {"tls", network.by_stream},
                         {"relayed", network.relayed},
                         {"not_reached", network.connecting},
                         {"all", facts.members}}},
            {"streams", std::move(streams)},
            {"mtus", std::move(mtus)},
            {"advice", network_advice(facts)}};
}

std::string way_in_words(const mesh::Node& node, const mesh::PeerUp& up, net::Now now) {
    if (const auto udp = mesh::udp_endpoint(up.endpoint); !udp.is_none()) return "at " + udp.text();
    const auto report = node.why(up.key, now);
    const auto* way = static_cast<const mesh::WayReport::Way*>(nullptr);
    if (report) {
        for (const auto& one : report->ways)
            if (one.path.to == up.endpoint) way = &one;
    }
    const auto is = mesh::VirtualEndpoint::of(up.endpoint);
    if (is && is->kind == mesh::VirtualEndpoint::Kind::stream) {
        return way != nullptr && way->stream ? "by TLS, at " + way->stream->text() : "by TLS";
    }
    return way != nullptr && way->relay ? "through " + node.name_of(*way->relay) : "through another member";
}

void put_way(const mesh::Node& node, const mesh::PeerReport& peer, json& out) {
    out["endpoint"] = null_or(peer.endpoint, [](const auto& endpoint) { return endpoint.text(); });
    out["relay"] = null_or(peer.relay, [&](const auto& key) { return node.name_of(key); });
    out["stream"] = null_or(peer.stream, [](const auto& endpoint) { return endpoint.text(); });
    out["rank"] = peer.rank && peer.state == PeerState::session ? json(mesh::text(*peer.rank)) : json(nullptr);
}

}  // namespace meshd
