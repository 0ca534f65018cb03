// Through which member this machine reaches the Internet.
#include <nlohmann/json.hpp>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"

namespace meshd {

using nlohmann::json;

json exit_json(const LiveNode& live) {
    const auto& node = live.node();
    const auto& name = node.exit();
    if (name.empty()) return {{"node", nullptr}, {"state", "directly"}};
    auto why = node.no_exit(name);
    if (why.empty()) why = node.is_up(node.view().by_name(name)->key) ? "in session" : "no session, so nothing passes";
    return {{"node", name}, {"state", why}};
}

namespace {

void set_exit(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    const auto name = params.text_or("node", "");
    if (!name.empty()) {
        if (const auto why = live.core().node().no_exit(name); !why.empty()) {
            throw CallRefused(why, "meshctl members shows who has the role exit", RpcError::invalid_params);
        }
    }
    if (const auto done = live.set_exit(name); !done) throw CallRefused(done.error().message);
    answer.result(exit_json(live));
}

}  // namespace

void add_exit_api(Methods& methods, Daemon& daemon) {
    methods.add("exit", Access::read, {}, [&daemon](const Params&, const loop::Credentials&, Answer& answer) {
        answer.result(exit_json(member(daemon)));
    });
    methods.add("exit.set", Access::change, {"node"},
                [&daemon](const Params& given, const loop::Credentials&, Answer& answer) { set_exit(daemon, given, answer); });
}

}  // namespace meshd
