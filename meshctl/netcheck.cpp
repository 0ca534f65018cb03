#include <cstdint>
#include <map>

#include "meshctl/command.hpp"
#include "meshctl/nat_text.hpp"
#include "meshctl/paragraph.hpp"

namespace meshctl {
namespace {

constexpr std::size_t kColumn = 11;
constexpr double kUsualMtu = 1420;  // of an Ethernet's path

std::uint64_t count(const Value& number) { return static_cast<std::uint64_t>(number.number().value_or(0)); }

std::string answer(const Value& result) {
    const auto members = result["members"];
    const auto all = count(members["all"]), direct = count(members["direct"]);
    const auto reached = direct + count(members["tls"]) + count(members["relayed"]);
    if (all == 0) return "There is no other member, so nobody can tell what this network allows.";
    const auto udp = result["udp"].text();
    const std::string begin = udp == "blocked" ? "UDP does not leave this network" : udp == "works" ? "UDP works here" : "";
    std::string end = reached == 0 ? "no member is reached"
                                   : std::to_string(reached) + " of " + std::to_string(all) + (all == 1 ? " member is" : " members are") +
                                         " reached, " + (direct == reached ? "directly" : std::to_string(direct) + " directly");
    if (begin.empty()) end[0] = end[0] == 'n' ? 'N' : end[0];
    return begin + (begin.empty() ? "" : ": ") + end + ".";
}

/// "203.0.113.5:51820 by trento, munich; ..."
std::string seen(const Value& list) {
    std::map<std::string, std::string> by;
    for (const auto& one : list.elements()) {
        auto& names = by[one["at"].text()];
        names += (names.empty() ? "" : ", ") + one["by"].text();
    }
    std::string out;
    for (const auto& [at, names] : by) out += (out.empty() ? "" : "; ") + at + " by " + names;
    return out;
}

std::string members(const Value& list) {
    std::string out;
    const auto add = [&](const char* key, const char* words) {
        if (const auto number = count(list[key]); number != 0)
            out += (out.empty() ? "" : ", ") + std::to_string(number) + " " + words;
    };
    add("direct", "direct");
    add("relayed", "through others");
    add("tls", "by TLS");
    add("not_reached", "not reached");
    return out;
}

std::string mapping(const Value& one) {
    const auto external = one["external"].text(), trouble = one["trouble"].text(), gateway = one["gateway"].text();
    if (external.empty()) return "none at " + gateway + (trouble.empty() ? "" : ": " + trouble);
    return external + " by " + one["method"].text() + " at " + gateway +
           (one["published"].flag() ? "" : ", which others are not told") + (trouble.empty() ? "" : ": " + trouble);
}

std::string narrow(const Value& list) {
    std::string out;
    for (const auto& one : list.elements())
        if (const auto mtu = one["mtu"].number(); mtu && *mtu < kUsualMtu)
            out += (out.empty() ? "" : ", ") + std::to_string(count(one["mtu"])) + " to " + one["name"].text();
    return out;
}

void run(Invocation& in) {
    const auto result = in.call("netcheck");
    if (in.printed_as_json(result)) return;
    const auto put = [&](const char* label, const std::string& text) {
        if (!text.empty()) in.out << paragraph(label, text, kColumn);
    };
    in.out << paragraph("", answer(result)) << '\n';
    put("addresses", result["local"].joined(", "));
    put("seen at", seen(result["seen"]));
    put("IPv4", nat_text(result["nat"]["ipv4"].text()));
    put("IPv6", result["ipv6"].flag() ? nat_text(result["nat"]["ipv6"].text()) : "no address that others could reach");
    const auto* name = "mapped";
    for (const auto& one : result["port_mappings"].elements()) {
        put(name, mapping(one));
        name = "";
    }
    put("members", members(result["members"]));
    put("TLS", result["streams"].elements().empty() ? "" : "listens at " + result["streams"].joined(", "));
    put("MTU", narrow(result["mtus"]));
    const auto* label = "better";
    for (const auto& sentence : result["advice"].elements()) {
        if (*label != '\0') in.out << '\n';
        put(label, sentence.text());
        label = "";
    }
}

}  // namespace

extern const Command kNetcheck;
const Command kNetcheck{
    .name = "netcheck",
    .summary = "tell what this machine's network allows, and what could be better",
    .details = "By what the other members see of this one; nobody else is asked.",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
