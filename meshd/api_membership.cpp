#include <algorithm>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "loop/interfaces.hpp"
#include "meshd/api.hpp"
#include "meshd/api_common.hpp"
#include "net/text.hpp"
#include "net/wiped.hpp"

namespace meshd {
namespace {

using nlohmann::json;

/// This machine's name as a node name, if it makes one.
std::string default_node_name() {
    std::array<char, 256> name{};
    gethostname(name.data(), name.size() - 1);
    std::string out = net::to_lower(std::string_view(name.data()));
    out.resize(std::min(out.find('.'), out.size()));
    return mesh::is_node_name(out) ? out : "";
}

net::Prefix read_prefix(const std::string& text, const char* what) {
    const auto prefix = net::Prefix::parse(text);
    if (!prefix) {
        throw CallRefused("\"" + text + "\" is no " + what,
                          "write it like 192.168.1.0/24, with no bits set behind the prefix", RpcError::invalid_params);
    }
    return *prefix;
}

std::vector<net::Prefix> read_subnets(const Params& params) {
    std::vector<net::Prefix> out;
    for (const auto& text : params.texts("subnets")) out.push_back(read_prefix(text, "subnet"));
    return out;
}

/// A /16 of 10.0.0.0/8 that overlaps neither this machine's networks nor the subnets to be routed.
net::Prefix choose_pool(net::Random& random, const std::vector<net::Prefix>& subnets) {
    auto taken = subnets;
    for (const auto& interface : loop::interfaces()) {
        for (const auto& [address, length] : interface.addresses) taken.emplace_back(address, length);
    }
    for (int tries = 0; tries < 1000; ++tries) {
        const auto second = static_cast<std::uint8_t>(64 + random.below(192));
        const net::Prefix pool(net::IpAddress::v4(10, second, 0, 0), 16);
        if (std::none_of(taken.begin(), taken.end(), [&](const auto& other) { return other.overlaps(pool); })) return pool;
    }
    throw CallRefused("every 10.x.0.0/16 overlaps a network of this machine", "name a free one with --pool");
}

void refuse_if_member(Daemon& daemon) {
    if (daemon.live() != nullptr) {
        throw CallRefused("this machine is in the mesh \"" + daemon.live()->core().node().mesh_name() + "\" already",
                          "one state folder holds one membership: to leave it, stop meshd and remove its state folder");
    }
    if (daemon.is_joining()) throw CallRefused("this machine is joining a mesh at this moment", "wait for it to end");
}

json identity(Daemon& daemon) {
    const auto& node = daemon.live()->core().node();
    return {{"mesh", {{"name", node.mesh_name()}}},
            {"node", {{"name", node.self().says.name}, {"addresses", texts(node.self().says.addresses)}}}};
}

void init(Daemon& daemon, const Params& params, Answer& answer) {
    refuse_if_member(daemon);
    mesh::CreateMesh wish;
    wish.mesh = params.text("mesh");
    wish.node = params.text_or("name", default_node_name());
    if (wish.node.empty()) {
        throw CallRefused("this machine's host name makes no node name", "give one with --name: letters, digits, dashes");
    }
    wish.subnets = read_subnets(params);
    wish.exit = params.flag("exit");
    const auto pool = params.optional_text("pool");
    wish.pool = pool ? read_prefix(*pool, "address pool") : choose_pool(daemon.random(), wish.subnets);
    std::vector<net::Endpoint> advertise;
    for (const auto& text : params.texts("endpoints")) {
        const auto endpoint = net::Endpoint::parse(text);
        if (!endpoint) throw CallRefused("\"" + text + "\" is no address and port", "", RpcError::invalid_params);
        advertise.push_back(*endpoint);
    }
    auto made = mesh::Node::create_mesh(wish, daemon.random(), daemon.loop().now());
    if (!made) throw CallRefused(made.error().message);
    const auto answers = shared(answer);
    daemon.become_member(
        std::move(made->identity), std::move(made->records), {}, advertise,
        [answers](const std::string& what) { answers->progress(what); },
        [&daemon, answers](const net::Result<void>& done) {
            done ? answers->result(identity(daemon)) : answers->refuse(done.error());
        });
}

void join(Daemon& daemon, const Params& params, Answer& answer) {
    refuse_if_member(daemon);
    auto text = params.text("token");
    const net::WipedAtEnd wiped(text);
    const auto token = mesh::Token::parse(text);
    if (!token) throw CallRefused(token.error().message);
    if (const auto valid = token->check_time(daemon.loop().now().wall); !valid) {
        throw CallRefused(valid.error().message, "ask the mesh's admin for a new invitation");
    }
    const auto answers = shared(answer);
    daemon.join(
        *token, [answers](const std::string& what) { answers->progress(what); },
        [&daemon, answers](const net::Result<void>& done) {
            done ? answers->result(identity(daemon)) : answers->refuse(done.error());
        });
}

void invite(Daemon& daemon, const Params& params, Answer& answer) {
    mesh::InviteRequest request;
    request.name = params.text("name");
    request.subnets = read_subnets(params);
    request.admin = params.flag("admin");
    request.exit = params.flag("exit");
    request.may_overlap = params.flag("force");
    request.valid = std::chrono::seconds(params.number_or("expires_s", 24 * 3600, 60, 365LL * 24 * 3600));
    auto& live = member(daemon);
    const auto token = live.core().node().invite(request, daemon.loop().now());
    live.pump();
    if (!token) throw CallRefused(token.error().message);
    json endpoints = json::array();
    for (const auto& contact : token->contacts) endpoints.push_back(contact.endpoint.text());
    answer_when_synced(daemon, answer, {{"name", request.name},
                                        {"token", token->text()},
                                        {"expires_s", request.valid.count()},
                                        {"endpoints", std::move(endpoints)},
                                        {"notes", token->notes}});
}

void revoke(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    const auto name = params.text("name");
    const auto revoked = live.core().node().revoke(name, daemon.loop().now());
    live.pump();
    if (!revoked) throw CallRefused(revoked.error().message);
    answer_when_synced(daemon, answer, {{"name", name}, {"passwords_to_change", revoked->passwords_to_change}});
}

template <class Values>
std::string joined(const Values& values) {
    std::string out;
    for (const auto& value : values) out += (out.empty() ? "" : ", ") + value.text();
    return out;
}

/// What wg-quick(8) and every WireGuard app reads.
std::string wireguard_config(const mesh::StockAdmission& admitted) {
    std::string out = "[Interface]\n";
    out += admitted.secret ? "PrivateKey = " + net::to_base64(admitted.secret->view()) + "\n"
                           : "# PrivateKey = (the private key of " + net::to_base64(admitted.public_key.view()) + ")\n";
    out += "Address = " + joined(admitted.addresses) + "\n\n[Peer]\n";
    out += "PublicKey = " + net::to_base64(admitted.gateway.view()) + "\n";
    if (admitted.gateway_endpoints.empty()) {
        out += "# Endpoint = (this node knows no address of its own: put one here)\n";
    } else {
        out += "Endpoint = " + admitted.gateway_endpoints.front().text() + "\n";
    }
    out += "AllowedIPs = " + joined(admitted.allowed_ips) + "\n";
    return out + "PersistentKeepalive = 25\n";
}

void stock(Daemon& daemon, const Params& params, Answer& answer) {
    auto& live = member(daemon);
    std::optional<net::TunnelKey> key;
    if (const auto text = params.optional_text("public_key"); text && !text->empty()) {
        const auto bytes = net::from_base64(*text);
        key = bytes ? net::TunnelKey::from(*bytes) : std::nullopt;
        if (!key) {
            throw CallRefused("that is no WireGuard public key", "it has 44 characters, as 'wg pubkey' prints it",
                              RpcError::invalid_params);
        }
    }
    const auto admitted = live.core().node().admit_stock(params.text("name"), key, daemon.loop().now());
    live.pump();
    if (!admitted) throw CallRefused(admitted.error().message);
    json out = {{"name", admitted->name},
                {"public_key", net::to_base64(admitted->public_key.view())},
                {"addresses", texts(admitted->addresses)},
                {"config", wireguard_config(*admitted)}};
    // The one time that the key is told: it is kept nowhere here.
    if (admitted->secret) out["private_key"] = net::to_base64(admitted->secret->view());
    answer_when_synced(daemon, answer, std::move(out));
}

}  // namespace

void add_membership_api(Methods& methods, Daemon& daemon) {
    const auto add = [&](const char* name, std::vector<std::string> params, auto method) {
        methods.add(name, Access::change, std::move(params),
                    [&daemon, method](const Params& given, const loop::Credentials&, Answer& answer) {
                        method(daemon, given, answer);
                    });
    };
    add("init", {"mesh", "name", "pool", "subnets", "endpoints", "exit"}, init);
    add("join", {"token"}, join);
    add("invite", {"name", "subnets", "admin", "exit", "expires_s", "force"}, invite);
    add("revoke", {"name"}, revoke);
    add("stock", {"name", "public_key"}, stock);
}

}  // namespace meshd
