/// What the parts of the control API share.
#pragma once

#include <nlohmann/json.hpp>

#include "meshd/control.hpp"
#include "meshd/daemon.hpp"

namespace meshd {

/// The live node, or the reason why there is none yet.
inline LiveNode& member(Daemon& daemon) {
    if (auto* live = daemon.live()) return *live;
    throw CallRefused(daemon.is_joining() ? "this machine is joining a mesh at this moment" : "this machine is in no mesh yet",
                      daemon.is_joining() ? "wait for it to end" : "make one with 'meshctl init', or enter one with 'meshctl join'");
}

/// Moved out of the call, to be answered later.
inline std::shared_ptr<Answer> shared(Answer& answer) { return std::make_shared<Answer>(std::move(answer)); }

/// What an admin has signed is acknowledged when it is on the disk, and not before. It may hold a token or a key.
inline void answer_when_synced(Daemon& daemon, Answer& answer, nlohmann::json result) {
    if (!daemon.store_trouble().empty()) answer.progress(daemon.store_trouble());
    const std::shared_ptr<nlohmann::json> kept(new nlohmann::json(std::move(result)), [](nlohmann::json* value) {
        wipe_texts(*value);
        delete value;
    });
    daemon.when_synced([answer = shared(answer), kept] { answer->result(*kept); });
}

/// The text forms of addresses, prefixes or endpoints.
template <class Values>
nlohmann::json texts(const Values& values) {
    auto out = nlohmann::json::array();
    for (const auto& value : values) out.push_back(value.text());
    return out;
}

template <class Duration>
std::int64_t seconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

nlohmann::json peers_json(Daemon& daemon);
nlohmann::json data_json(const LiveNode& live);
nlohmann::json port_mappings_json(const LiveNode& live);
nlohmann::json exit_json(const LiveNode& live);
nlohmann::json voice_json(Daemon& daemon);
nlohmann::json dns_json(LiveNode& live);
/// What the DNS server has counted, into an object.
void put_dns_counters(const LiveNode& live, nlohmann::json& out);

}  // namespace meshd
