#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"
#include "meshd/credentials.hpp"
#include "meshd/saved_calls.hpp"

namespace meshd {

using nlohmann::json;

namespace {

voice::Proxy& proxy(Daemon& daemon) {
    if (auto* proxy = member(daemon).core().proxy()) return *proxy;
    throw CallRefused("voice is off on this node", "set \"voice\": {\"enabled\": true} in its configuration");
}

/// "bob" is bob at this mesh's own voice domain.
std::string read_aor(Daemon& daemon, const Params& params) {
    auto text = params.text("aor");
    if (text.starts_with("sip:")) text.erase(0, 4);
    if (text.find('@') == std::string::npos) {
        const auto& domain = daemon.config().voice.domain;
        text += "@" + domain.value_or(member(daemon).core().node().mesh_name() + ".internal");
    }
    const auto aor = mesh::normal_aor(text);
    if (!aor) {
        throw CallRefused("\"" + text + "\" is no SIP address", "write it like bob@acme.example", RpcError::invalid_params);
    }
    return *aor;
}

void add_user(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    mesh::UserRequest request;
    request.aor = read_aor(daemon, params);
    request.numbers = params.texts("numbers");
    request.nodes = params.texts("nodes");
    if (const auto password = params.optional_text("password"); password && !password->empty()) {
        const auto realm = request.aor.substr(request.aor.find('@') + 1);
        request.credentials = make_credentials(request.aor, realm, *password);
    }
    const bool replaced = live.core().node().view().users.contains(request.aor);
    const auto done = live.core().node().put_user(request, daemon.loop().now());
    live.pump();
    if (!done) throw CallRefused(done.error().message);
    answer_when_synced(daemon, answer, {{"aor", request.aor},
                                        {"numbers", request.numbers},
                                        {"password", !request.credentials.empty()},
                                        {"replaced", replaced},
                                        {"centre", daemon.config().voice.centre.has_value()}});
}

void remove_user(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    const auto aor = read_aor(daemon, params);
    const auto done = live.core().node().remove_user(aor, daemon.loop().now());
    live.pump();
    if (!done) throw CallRefused(done.error().message);
    answer_when_synced(daemon, answer, {{"aor", aor}});
}

json users_json(Daemon& daemon) {
    const auto& node = member(daemon).core().node();
    json out = json::array();
    for (const auto& [aor, user] : node.view().users) {
        json nodes = json::array();
        for (const auto& key : user.says.nodes) {
            if (const auto* at = node.view().member(key)) nodes.push_back(at->says.name);
        }
        if (user.says.any_node) nodes.push_back("any");
        out.push_back({{"aor", aor},
                       {"numbers", user.says.numbers},
                       {"nodes", std::move(nodes)},
                       {"password", !user.says.credentials.empty()}});
    }
    return {{"users", std::move(out)}};
}

json phones_json(Daemon& daemon) {
    const auto now = daemon.loop().now();
    const auto& node = member(daemon).core().node();
    json out = json::array();
    if (const auto* local = member(daemon).core().proxy()) {
        for (const auto& phone : local->phones(now)) {
            out.push_back({{"aor", phone.aor},
                           {"contact", phone.contact},
                           {"expires_s", phone.expires.count()},
                           {"local", true},
                           {"node", node.self().says.name}});
        }
    }
    for (const auto& bound : node.roster().bound_users(now.wall)) {
        if (bound.node == node.key()) continue;
        out.push_back({{"aor", bound.aor},
                       {"contact", nullptr},
                       {"expires_s", bound.until - net::unix_seconds(now.wall)},
                       {"local", false},
                       {"node", node.view().member(bound.node)->says.name}});
    }
    return {{"phones", std::move(out)}};
}

json calls_json(Daemon& daemon) {
    const auto now = daemon.loop().now().steady;
    json out = json::array();
    for (const auto& call : proxy(daemon).calls()) {
        const auto media = media_of(call.answered.has_value(), call.streams);
        out.push_back({{"id", call.id},
                       {"from", call.from},
                       {"to", call.to},
                       {"state", call.state},
                       {"path", call.path},
                       {"since_s", seconds(now - call.since.steady)},
                       {"answered_s", call.answered ? json(seconds(now - call.answered->steady)) : json()},
                       {"audio", call.audio},
                       {"media", media},
                       {"not_measured", not_measured(media)},
                       {"streams", streams_json(call.streams)}});
    }
    return {{"calls", std::move(out)}};
}

json messages_json(Daemon& daemon) {
    const auto now = daemon.loop().now().wall;
    json out = json::array();
    for (const auto& one : proxy(daemon).mail()) {
        out.push_back({{"aor", one.callee}, {"count", one.count}, {"oldest_s", seconds(now - one.oldest)}});
    }
    return {{"messages", std::move(out)}};
}

std::size_t messages_waiting(const voice::Proxy& voice) {
    std::size_t out = 0;
    for (const auto& one : voice.mail()) out += one.count;
    return out;
}

/// The latest calls that this node carried, with what others say of them.
json history_json(const std::vector<voice::CallRecord>& ours, std::size_t count, const std::vector<voice::CallRecord>& theirs,
                  const std::set<voice::NodeId>& silent) {
    std::set<std::pair<voice::NodeId, std::uint64_t>> known;
    for (const auto& record : ours) known.emplace(record.node, record.number);
    auto all = ours;
    all.insert(all.end(), theirs.begin(), theirs.end());
    json out = json::array();
    for (const auto& call : voice::whole_calls(all)) {
        if (out.size() == count) break;
        const auto is_ours = [&](const auto& side) { return known.contains({side.node, side.number}); };
        if (std::none_of(call.sides.begin(), call.sides.end(), is_ours)) continue;
        auto one = shown_json(call.whole);
        for (const auto& side : call.sides) one["sides"].push_back(shown_json(side));
        out.push_back(std::move(one));
    }
    return {{"calls", std::move(out)}, {"silent", silent}};
}

void call_history(Daemon& daemon, const Params& params, Answer& answer) {
    constexpr std::int64_t kUsual = 50, kMost = 1000;
    const auto count = static_cast<std::size_t>(params.number_or("count", kUsual, 1, kMost));
    std::vector<voice::CallRecord> records;
    for (const auto& [number, record] : proxy(daemon).call_history().records()) records.push_back(record);
    if (!params.flag("all_nodes")) return answer.result(history_json(records, count, {}, {}));

    auto& live = member(daemon);
    if (live.call_accounts()->full()) throw CallRefused("too many ask for other nodes' accounts at this moment", "try again in some seconds");
    std::set<voice::NodeId> others;
    for (auto record = records.rbegin(); record != records.rend() && record < records.rbegin() + static_cast<std::ptrdiff_t>(2 * count); ++record) {
        if (!record->other.empty() && record->other != record->node) others.insert(record->other);
    }
    live.call_accounts()->gather(others, [records, count, answer = shared(answer)](auto theirs, const auto& silent) {
        answer->result(history_json(records, count, theirs, silent));
    });
    live.pump();
}

}  // namespace

json voice_json(Daemon& daemon) {
    const auto* voice = member(daemon).core().proxy();
    if (voice == nullptr) return {{"mode", "off"}};
    const auto view = voice->voice();
    const auto& centre = daemon.config().voice.centre;
    json tls = nullptr;
    if (const auto* phones = member(daemon).sip_tls()) {
        tls = {{"port", daemon.config().voice.tls.port},
               {"fingerprint", phones->fingerprint()},
               {"own", phones->is_own()},
               {"trouble", phones->trouble()}};
    }
    const auto* sockets = member(daemon).sip();
    const auto counters = voice->counters();
    return {{"transactions", voice->transactions()},
            {"overloaded", member(daemon).sip_overloaded()},
            {"tls", std::move(tls)},
            {"tls_trouble", sockets != nullptr ? sockets->tls_trouble() : ""},
            {"connections", sockets != nullptr ? sockets->connections() : 0},
            {"handshakes", sockets != nullptr ? sockets->handshakes() : 0},
            {"answered_503", counters.shed + counters.overload},
            {"messages_waiting", messages_waiting(*voice)},
            {"subscriptions", voice->subscriptions()},
            {"centre_subscriptions", voice->centre_subscriptions()},
            {"lamps_unremembered", counters.lamps},
            {"mode", view.mode},
            {"why", view.why},
            {"since_s", seconds(daemon.loop().now().steady - view.since.steady)},
            {"centre", centre ? json(centre->uri) : json(nullptr)},
            {"centre_state", view.centre_state},
            {"elsewhere", view.elsewhere},
            {"hold_down_s", view.hold_down.count()}};
}

void add_voice_api(Methods& methods, Daemon& daemon) {
    const auto change = [&](const char* name, std::vector<std::string> params, auto method) {
        methods.add(name, Access::change, std::move(params),
                    [&daemon, method](const Params& given, const loop::Credentials&, Answer& answer) {
                        method(daemon, given, answer);
                    });
    };
    const auto read = [&](const char* name, auto method) {
        methods.add(name, Access::read, {}, [&daemon, method](const Params&, const loop::Credentials&, Answer& answer) {
            answer.result(method(daemon));
        });
    };
    change("user.add", {"aor", "numbers", "nodes", "password"}, add_user);
    change("user.remove", {"aor"}, remove_user);
    read("user.list", users_json);
    read("phones", phones_json);
    read("calls", calls_json);
    read("messages", messages_json);
    methods.add("calls.history", Access::read, {"count", "all_nodes"},
                [&daemon](const Params& given, const loop::Credentials&, Answer& answer) { call_history(daemon, given, answer); });
    read("voice", voice_json);
}

void add_api(Methods& methods, Daemon& daemon) {
    add_membership_api(methods, daemon);
    add_status_api(methods, daemon);
    add_path_api(methods, daemon);
    add_data_api(methods, daemon);
    add_exit_api(methods, daemon);
    add_voice_api(methods, daemon);
    add_enum_api(methods, daemon);
    add_dns_api(methods, daemon);
    add_trunk_api(methods, daemon);
}

}  // namespace meshd
