#include <nlohmann/json.hpp>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"
#include "meshd/dns_service.hpp"
#include "meshd/resolved.hpp"

namespace meshd {

using nlohmann::json;

namespace {

json doors_json(const DnsSockets& sockets) {
    auto out = json::array();
    for (const auto& [address, door] : sockets.doors()) {
        out.push_back({{"at", net::Endpoint{address, sockets.port(), 0}.text()},
                       {"mesh", door.overlay},
                       {"open", door.trouble.empty()},
                       {"why", door.trouble}});
    }
    return out;
}

json resolved_json(const DnsService& dns) {
    if (dns.resolved() == nullptr) return {{"state", "off"}, {"why", ""}};
    return {{"state", name_of(dns.resolved()->state())}, {"why", dns.resolved()->why()}};
}

json records_json(const dns::Zones& zones, const dns::Name& name) {
    auto out = json::array();
    for (const auto& record : zones.all(name)) out.push_back(dns::text(record));
    return out;
}

json zones_json(const dns::Zones& zones) {
    auto out = json::array();
    for (const auto& apex : zones.apexes()) out.push_back(apex.text());
    return out;
}

}  // namespace

json dns_json(LiveNode& live) {
    auto* dns = live.dns();
    if (dns == nullptr) return {{"enabled", false}};
    return {{"enabled", true}, {"domain", mesh_domain(live.core().node())}, {"listen", doors_json(dns->sockets())},
            {"resolved", resolved_json(*dns)}};
}

void put_dns_counters(const LiveNode& live, json& out) {
    const auto* dns = live.dns();
    if (dns == nullptr) return;
    for (std::size_t i = 0; i < dns::kOutcomes; ++i) {
        out["dns_served_" + std::string(name_of(static_cast<dns::Outcome>(i)))] = dns->counts()[i];
    }
    const auto& sockets = dns->sockets().counters();
    out["dns_served_strangers"] = sockets.strangers;
    out["dns_served_over_rate"] = sockets.over_rate;
    out["dns_served_connections_closed"] = sockets.connections_closed;
}

void add_dns_api(Methods& methods, Daemon& daemon) {
    methods.add("dns", Access::read, {"name"}, [&daemon](const Params& params, const loop::Credentials&, Answer& answer) {
        auto& live = member(daemon);
        auto out = dns_json(live);
        const auto wanted = params.optional_text("name");
        if (live.dns() == nullptr) {
            if (wanted) throw CallRefused("DNS is off on this node", "set \"dns\": true in its configuration");
            return answer.result(out);
        }
        const auto& zones = live.dns()->zones();
        if (wanted) {
            const auto name = dns::Name::parse(*wanted);
            if (!name) {
                throw CallRefused("\"" + *wanted + "\" is no domain name", "such as " + zones.contents().self + "." + zones.contents().mesh,
                                  RpcError::invalid_params);
            }
            const auto found = zones.find(*name, dns::Type::any, {});
            out["name"] = name->text();
            out["records"] = records_json(zones, *name);
            out["ours"] = found.kind != dns::Found::Kind::not_ours || !out["records"].empty();
            out["exists"] = found.kind == dns::Found::Kind::records || found.kind == dns::Found::Kind::no_data;
        }
        out["zones"] = zones_json(zones);
        put_dns_counters(live, out["counters"]);
        answer.result(out);
    });
}

}  // namespace meshd
