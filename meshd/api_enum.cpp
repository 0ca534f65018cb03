#include <nlohmann/json.hpp>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"

namespace meshd {

using nlohmann::json;

namespace {

std::string_view name_of(voice::DnsAnswer::Kind kind) {
    switch (kind) {
        case voice::DnsAnswer::Kind::found: return "found";
        case voice::DnsAnswer::Kind::nothing: return "nothing";
        case voice::DnsAnswer::Kind::failed: return "failed";
    }
    return "";
}

json domains_json(const voice::EnumResult& said) {
    auto out = json::array();
    for (const auto& domain : said.domains) {
        out.push_back({{"name", domain.name},
                       {"answer", name_of(domain.kind)},
                       {"stale", domain.stale},
                       {"skipped", domain.skipped}});
    }
    return out;
}

json records_json(const voice::EnumResult& said) {
    auto out = json::array();
    for (const auto& record : said.records) {
        const auto& naptr = record.naptr;
        out.push_back({{"domain", record.domain},
                       {"depth", record.depth},
                       {"order", naptr.order},
                       {"preference", naptr.preference},
                       {"flags", naptr.flags},
                       {"services", naptr.services},
                       {"regexp", naptr.regexp},
                       {"replacement", naptr.replacement},
                       {"verdict", name_of(record.verdict)},
                       {"uri", record.uri},
                       {"why", record.why}});
    }
    return out;
}

json leads_json(const voice::NameFound& found) {
    auto out = json::array();
    for (const auto& lead : found.leads) {
        auto hops = json::array();
        for (const auto& hop : lead.at.hops) {
            hops.push_back({{"transport", via_name(hop.transport)}, {"at", hop.endpoint.text()}, {"name", hop.name}});
        }
        out.push_back({{"uri", lead.uri.text()}, {"hops", std::move(hops)}, {"why", lead.at.why}});
    }
    return out;
}

/// The user of this mesh who has the number, under any of its names.
json user_of(Daemon& daemon, const std::string& dialled) {
    const auto& numbers = member(daemon).core().node().view().numbers;
    for (const auto& name : voice::DialPlan(daemon.config().voice.dial_plan).names_of(dialled)) {
        if (const auto found = numbers.find(name); found != numbers.end()) return found->second;
    }
    return nullptr;
}

std::string number_of(Daemon& daemon, const std::string& dialled) {
    const voice::DialPlan plan(daemon.config().voice.dial_plan);
    if (auto number = plan.e164(dialled)) return *number;
    if (plan.extension(dialled)) {
        throw CallRefused("\"" + dialled + "\" is an extension, and only E.164 numbers are in DNS",
                          "write the whole number, such as +44-207-9460-148", RpcError::invalid_params);
    }
    const auto parsed = voice::parse_e164(dialled);
    throw CallRefused("\"" + dialled + "\" is no telephone number: " + (parsed ? "" : parsed.error().message),
                      "write it like +44-207-9460-148, or set \"voice\": {\"dial_plan\": ...} for shorter ones",
                      RpcError::invalid_params);
}

void look_up(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    if (live.names() == nullptr) {
        throw CallRefused("voice is off on this node", "set \"voice\": {\"enabled\": true} in its configuration");
    }
    const auto dialled = params.text("number");
    const auto number = number_of(daemon, dialled);
    const auto waiting = shared(answer);
    const bool begun = live.names()->look_up(number, [&daemon, waiting, dialled](const voice::NameFound& found) {
        const auto& config = daemon.config().voice;
        waiting->result({{"number", found.number},
                         {"user", user_of(daemon, dialled)},
                         {"use", kEnumUses[static_cast<std::size_t>(config.enum_lookup.use)]},
                         {"centre", config.centre.has_value()},
                         {"domains", domains_json(found.said)},
                         {"records", records_json(found.said)},
                         {"leads", leads_json(found)},
                         {"stale", found.stale}});
    });
    if (!begun) waiting->refuse(CallRefused("too many numbers are being looked up", "try again in some seconds"));
}

}  // namespace

void add_enum_api(Methods& methods, Daemon& daemon) {
    methods.add("enum", Access::read, {"number"},
                [&daemon](const Params& params, const loop::Credentials&, Answer& answer) { look_up(daemon, params, answer); });
}

}  // namespace meshd
