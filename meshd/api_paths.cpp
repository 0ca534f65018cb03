// Why a member is reached as it is, and what this machine's network allows.
#include <algorithm>

#include "meshd/api.hpp"
#include "meshd/api_common.hpp"
#include "meshd/config_value.hpp"
#include "meshd/path_report.hpp"

namespace meshd {
namespace {

/// Throws with the name that may have been meant.
net::NodeKey member_called(const mesh::Node& node, const std::string& name) {
    const auto& view = node.view();
    if (name == node.self().says.name) return node.key();
    std::vector<std::string_view> names;
    for (const auto& [key, known] : view.members) {
        if (known.says.name == name) return key;
        names.push_back(known.says.name);
    }
    for (const auto& [_, says] : view.gone)
        if (says.name == name) throw CallRefused(name + " has been put out of the mesh");
    const auto meant = std::string(closest(name, names));
    throw CallRefused("no member is called " + name, meant.empty() ? "meshctl members lists them" : "did you mean " + meant + "?");
}

}  // namespace

void add_path_api(Methods& methods, Daemon& daemon) {
    methods.add("why", Access::read, {"name"}, [&daemon](const Params& params, const loop::Credentials&, Answer& answer) {
        const auto& node = member(daemon).core().node();
        answer.result(why_json(node, member_called(node, params.text("name")), daemon.loop().now()));
    });
    methods.add("netcheck", Access::read, {}, [&daemon](const Params&, const loop::Credentials&, Answer& answer) {
        auto& live = member(daemon);
        const auto mappings = live.port_mappings();
        const bool mapped = std::any_of(mappings.begin(), mappings.end(), [](const auto& one) { return one.published; });
        auto result = netcheck_json(live.core().node(), mapped, daemon.loop().now());
        result["port_mappings"] = port_mappings_json(live);
        answer.result(result);
    });
}

}  // namespace meshd
