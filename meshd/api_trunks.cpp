#include <nlohmann/json.hpp>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"

namespace meshd {

using nlohmann::json;

namespace {

json own_json(const voice::Proxy& proxy, net::Now now) {
    json out = json::array();
    for (const auto& trunk : proxy.trunks(now)) {
        out.push_back({{"name", trunk.name},
                       {"server", trunk.server},
                       {"at", trunk.at},
                       {"state", trunk.state},
                       {"why", trunk.why},
                       {"since_s", trunk.state == "locating" ? json(nullptr) : json(seconds(now.steady - trunk.since.steady))},
                       {"registered_for_s", trunk.registered_for.count()},
                       {"prefixes", trunk.prefixes},
                       {"cost", trunk.cost},
                       {"emergency", trunk.emergency}});
    }
    return out;
}

json others_json(Daemon& daemon) {
    json out = json::array();
    for (const auto& trunk : member(daemon).core().other_trunks()) {
        out.push_back({{"node", trunk.node},
                       {"name", trunk.offer.name},
                       {"prefixes", trunk.offer.prefixes},
                       {"cost", trunk.offer.cost},
                       {"emergency", trunk.offer.emergency},
                       {"round_trip_ms", std::chrono::duration<double, std::milli>(trunk.round_trip).count()}});
    }
    return out;
}

}  // namespace

void add_trunk_api(Methods& methods, Daemon& daemon) {
    methods.add("trunks", Access::read, {}, [&daemon](const Params&, const loop::Credentials&, Answer& answer) {
        const auto* proxy = member(daemon).core().proxy();
        if (proxy == nullptr) {
            throw CallRefused("voice is off on this node", "set \"voice\": {\"enabled\": true} in its configuration");
        }
        answer.result({{"trunks", own_json(*proxy, daemon.loop().now())},
                       {"others", others_json(daemon)},
                       {"emergency", daemon.config().voice.emergency}});
    });
}

}  // namespace meshd
