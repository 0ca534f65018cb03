#include <algorithm>
#include <nlohmann/json.hpp>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"
#include "meshd/path_report.hpp"
#include "meshd/warnings.hpp"
#include "net/text.hpp"

namespace meshd {

using nlohmann::json;

namespace {

const char* name_of(mesh::PeerState state) {
    switch (state) {
        case mesh::PeerState::idle: return "idle";
        case mesh::PeerState::connecting: return "connecting";
        case mesh::PeerState::session: return "session";
    }
    return "";
}

const char* name_of(mesh::Standing standing) {
    switch (standing) {
        case mesh::Standing::member: return "member";
        case mesh::Standing::unvouched: return "unvouched";
        case mesh::Standing::revoked: return "revoked";
    }
    return "";
}

template <class T, class Show>
json or_null(const std::optional<T>& value, Show show) {
    return value ? json(show(*value)) : json(nullptr);
}

json member_json(const net::NodeKey& key, const mesh::Member& says, bool revoked) {
    return {{"name", says.name},
            {"key", net::to_base64(key.view())},
            {"tunnel_key", net::to_base64(says.tunnel_key.view())},
            {"addresses", texts(says.addresses)},
            {"subnets", texts(says.subnets)},
            {"roles", says.roles.names()},
            {"stock", says.stock},
            {"revoked", revoked}};
}

/// Flat, so that a reader need not know the parts: what was dropped by its reason, then records, then SIP.
json counters_json(LiveNode& live) {
    json out = json::object();
    for (std::size_t i = 0; i < mesh::kDropReasons; ++i) {
        const auto reason = static_cast<mesh::Drop>(i);
        if (const auto count = live.drops().get(reason); count > 0) out["drop_" + std::string(mesh::name_of(reason))] = count;
    }
    const auto& gossip = live.core().node().gossip_counters();
    out["records_received"] = gossip.received;
    out["records_refused"] = gossip.refused;
    out["records_pushed"] = gossip.pushed;
    if (const auto* proxy = live.core().proxy()) {
        const auto& sip = proxy->counters();
        out["sip_received"] = sip.received;
        out["sip_malformed"] = sip.malformed;
        out["sip_stranger"] = sip.stranger;
        out["sip_forged"] = sip.forged;
        out["sip_overload"] = sip.overload;
        out["sip_shed"] = sip.shed;
        out["sip_no_media_port"] = sip.no_media;
        out["sip_stray"] = sip.stray;
        out["sip_lamps_unremembered"] = sip.lamps;
        const auto& names = proxy->name_counters();
        out["dns_asked"] = names.asked;
        out["dns_unanswered"] = names.unanswered;
        out["dns_stale"] = names.stale;
        out["dns_refused"] = names.refused;
        out["enum_skipped"] = names.skipped;
    }
    if (const auto* sockets = live.sip_counters()) {
        out["sip_refused_connections"] = sockets->refused_connections;
        out["sip_stranger_connections"] = sockets->stranger_connections;
        out["sip_broken_streams"] = sockets->broken_streams;
        out["sip_tls_failed"] = sockets->tls_failed;
        out["sip_tls_half_open"] = sockets->tls_half_open;
        out["sip_refused_handshakes"] = sockets->refused_handshakes;
        out["sip_times_overloaded"] = live.sip()->overload().times();
        out["sip_idle_connections"] = sockets->idle_connections;
        out["sip_unsent"] = sockets->unsent;
        out["sip_beside_device"] = sockets->beside_device;
    }
    const auto streams = live.streams().counters();
    out["stream_refused"] = streams.refused;
    out["stream_displaced"] = streams.displaced;
    out["stream_tls_failed"] = streams.tls_failed;
    out["stream_strangers"] = streams.strangers;
    out["stream_broken"] = streams.broken;
    out["stream_dials_failed"] = streams.dials_failed;
    out["stream_idle"] = streams.idle;
    out["stream_not_for_us"] = streams.not_for_us;
    out["stream_handshakes_over_rate"] = streams.handshakes_over_rate;
    out["stream_dropped_bulk"] = streams.dropped_bulk;
    out["stream_dropped_urgent"] = streams.dropped_urgent;
    put_dns_counters(live, out);
    if (const auto* media = live.media()) {
        const auto drops = media->drops();
        out["media_not_media"] = drops.not_media;
        out["media_wrong_source"] = drops.wrong_source;
        out["media_over_rate"] = drops.over_rate;
    }
    return out;
}

json status_json(Daemon& daemon) {
    if (daemon.live() == nullptr) {
        return {{"mesh", nullptr}, {"node", nullptr}, {"state", daemon.is_joining() ? "joining" : "in no mesh"}};
    }
    auto& live = *daemon.live();
    const auto& node = live.core().node();
    const auto& self = node.self();
    json warnings = warnings_of(
        node, {daemon.store_trouble(), ip_forwarding(), strict_interfaces(live.device().name()),
               live.offered_subnets().not_allowed(node.self().says.subnets), live.exit_troubles()});
    return {{"mesh", {{"name", node.mesh_name()}, {"id", net::to_base64(node.identity().mesh_id.view())}}},
            {"node",
             {{"name", self.says.name},
              {"key", net::to_base64(node.key().view())},
              {"tunnel_key", net::to_base64(self.says.tunnel_key.view())},
              {"addresses", texts(self.says.addresses)},
              {"subnets", texts(self.says.subnets)},
              {"roles", self.says.roles.names()},
              {"endpoints", texts(node.own_endpoints())},
              {"device", live.device().name()},
              {"up_s", seconds(live.up_for())}}},
            {"state", name_of(node.standing())},
            {"peers", peers_json(daemon)},
            {"port_mappings", port_mappings_json(live)},
            {"data", data_json(live)},
            {"exit", exit_json(live)},
            {"voice", voice_json(daemon)},
            {"dns", dns_json(live)},
            {"warnings", std::move(warnings)},
            {"counters", counters_json(live)}};
}

void sort_by_name(json& list) {
    std::stable_sort(list.begin(), list.end(), [](const json& a, const json& b) { return a["name"] < b["name"]; });
}

json members_json(Daemon& daemon) {
    const auto& view = member(daemon).core().node().view();
    json out = json::array();
    for (const auto& [key, known] : view.members) out.push_back(member_json(key, known.says, false));
    for (const auto& [key, says] : view.gone) out.push_back(member_json(key, says, true));
    sort_by_name(out);
    json invitations = json::array();
    for (const auto& [key, invitation] : view.invitations) {
        const auto left = invitation.says.until - net::unix_seconds(daemon.loop().now().wall);
        if (invitation.revoked || invitation.spent_by || left <= 0) continue;
        invitations.push_back({{"name", invitation.says.name},
                               {"subnets", texts(invitation.says.subnets)},
                               {"roles", invitation.says.roles.names()},
                               {"expires_s", left}});
    }
    sort_by_name(invitations);
    return {{"members", std::move(out)}, {"invitations", std::move(invitations)}};
}

}  // namespace

json port_mappings_json(const LiveNode& live) {
    json out = json::array();
    for (const auto& mapping : live.port_mappings()) {
        out.push_back({{"method", mapping.method},
                       {"gateway", mapping.gateway.text()},
                       {"local", mapping.local.text()},
                       {"external", or_null(mapping.external, [](const auto& endpoint) { return endpoint.text(); })},
                       {"lifetime_left_s", mapping.lifetime_left.count()},
                       {"published", mapping.published},
                       {"trouble", mapping.trouble}});
    }
    return out;
}

json peers_json(Daemon& daemon) {
    json out = json::array();
    const auto& node = member(daemon).core().node();
    for (const auto& peer : node.peers(daemon.loop().now())) {
        out.push_back({{"name", peer.name},
                       {"key", net::to_base64(peer.key.view())},
                       {"tunnel_key", net::to_base64(peer.tunnel_key.view())},
                       {"addresses", texts(peer.addresses)},
                       {"subnets", texts(peer.subnets)},
                       {"roles", peer.roles.names()},
                       {"state", name_of(peer.state)},
                       {"stock", peer.stock},
                       {"last_handshake_s", or_null(peer.last_handshake, [](auto ago) { return ago.count(); })},
                       {"rtt_ms", or_null(peer.rtt, [](auto rtt) { return static_cast<double>(rtt.count()) / 1000; })},
                       {"cipher", peer.state != mesh::PeerState::session ? json(nullptr)
                                  : peer.aes                            ? "AES-256-GCM"
                                                                        : "ChaCha20-Poly1305"},
                       {"mtu", peer.mtu_bytes},
                       {"rx_bytes", peer.rx_bytes},
                       {"tx_bytes", peer.tx_bytes},
                       {"via", or_null(peer.via, [](auto via) { return std::string(mesh::text(via)); })}});
        put_way(node, peer, out.back());
    }
    sort_by_name(out);
    return out;
}

void add_status_api(Methods& methods, Daemon& daemon) {
    const auto add = [&](const char* name, auto method) {
        methods.add(name, Access::read, {}, [&daemon, method](const Params&, const loop::Credentials&, Answer& answer) {
            answer.result(method(daemon));
        });
    };
    add("status", status_json);
    add("peers", [](Daemon& from) { return json{{"peers", peers_json(from)}}; });
    add("members", members_json);
}

}  // namespace meshd
