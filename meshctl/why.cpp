#include <cmath>
#include <cstdint>

#include "meshctl/command.hpp"
#include "meshctl/nat_text.hpp"
#include "meshctl/paragraph.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"
#include "meshctl/way_text.hpp"

namespace meshctl {
namespace {

constexpr std::size_t kColumn = 11, kMoves = 5;
constexpr double kFresh_s = 6;  // a proof is one so long

std::string whole(const Value& number) { return std::to_string(static_cast<std::uint64_t>(number.number().value_or(0))); }

std::string lost(const Value& way) {
    const auto loss = way["loss"].number();
    if (!loss) return {};
    return ", " + std::to_string(std::lround(*loss * 100)) + " % lost";
}

std::string figures(const Value& way) {
    const auto rtt = milliseconds(way["rtt_ms"].number());
    return (rtt.empty() ? "" : ", " + rtt) + lost(way);
}

Value used_way(const Value& result) {
    for (const auto& way : result["ways"].elements())
        if (way["used"].flag()) return way;
    return {};
}

std::string answer(const Value& result) {
    const auto name = result["name"].text(), kind = result["kind"].text(), state = result["state"].text();
    const auto where = way_text(result), cause = result["cause"].text();
    if (kind == "self") return name + " is this machine.";
    if (kind == "stock") {
        return name + " is a stock WireGuard peer" + (where.empty() ? " that has not been heard" : "") +
               ": it is reached where its packets come from" + (where.empty() ? "" : " (" + where + ")") +
               ", and no other way is tried.";
    }
    const auto because = cause.empty() ? std::string() : ": " + cause;
    if (state == "connecting") return name + " is not reached" + because;
    if (state != "session") return name + " has no tunnel now" + because;
    const auto rank = result["rank"].text(), relay = result["relay"].text();
    const auto used = used_way(result);
    const auto how = used.is_null() ? figures(result) : figures(used);
    if (rank == "relay") return name + " is reached through " + (relay.empty() ? "another member" : relay) + " (relay)" + how + because;
    if (rank == "stream") {
        const auto at = result["stream"].text();
        return name + " is reached by TLS" + (at.empty() ? "" : " at " + at) + how + because;
    }
    return name + " is reached directly at " + where + " (" + rank_text(rank) + ")" + how + because;
}

std::string relay_line(const Value& through) {
    auto out = through["name"].text();
    if (const auto rtt = milliseconds(through["rtt_ms"].number()); !rtt.empty()) out += ", " + rtt + " from here";
    const auto others = through["standing_by"].number().value_or(0);
    if (others == 0) {
        out += ": the only member that reaches both";
    } else {
        out += through["shortest"].flag() ? ": the shortest way" : ": hardly longer than the shortest way";
        out += " of " + std::to_string(static_cast<int>(others) + 1) + " that answer";
    }
    if (!through["role"].flag()) out += "; it has not the role of a relay, and passes on 4 kB/s at most";
    return out;
}

/// What came of it.
Cell outcome(const Value& result, const Value& way) {
    const auto proven = way["proven_s"].number(), refused = way["refused_s"].number();
    // Of a way that has answered when it was tried last there is one time to tell.
    constexpr double kAnswerTime_s = 1.5;
    const auto tried = way["tried_s"].number();
    const bool said = proven && tried && *proven - *tried < kAnswerTime_s;
    const auto when = proven && !said ? " " + ago(*proven) : std::string();
    if (way["used"].flag()) return {"used" + (proven ? ", proven" + when : "") + figures(way), Colour::good};
    if (refused && (!proven || *refused < *proven)) {
        return {"says that it has no session", Colour::warning};
    }
    if (proven && *proven < kFresh_s) return {"proven" + when + figures(way)};
    if (proven) return {"silent, proven " + ago(*proven), Colour::warning};
    if (const auto probes = way["probes"].number().value_or(0); probes > 0) {
        return {"no answer to " + whole(way["probes"]) + (probes == 1 ? " probe" : " probes"), Colour::warning};
    }
    if (way["asked"].flag() && result["attempts"].number().value_or(0) > 0) return {"no answer to handshakes", Colour::warning};
    return {""};
}

void print_ways(Invocation& in, const Value& result) {
    Table table({{"way"}, {"known by"}, {"tried"}, {"result"}});
    for (const auto& way : result["ways"].elements()) {
        const auto source = way["source"].text(), found = way["found"].text();
        const bool detour = source == "relay" || source == "stream";
        const auto tried = way["tried_s"].number();
        const bool asked = way["asked"].flag() && result["attempts"].number().value_or(0) > 0;
        table.add({way_text(way), detour ? "" : source + (found.empty() ? "" : ", " + found),
                   tried ? ago(tried) : asked ? "each time" : way["proven_s"].is_null() ? "never" : "", outcome(result, way)});
    }
    if (!table.empty()) in.out << '\n' << table.text(in.colour);
}

void print_moves(Invocation& in, const Value& result) {
    const auto moves = result["moves"].elements();
    if (moves.empty()) return;
    Table table({{"moved", Table::Align::left}, {"to"}, {"because"}});
    std::size_t shown = 0;
    for (auto move = moves.rbegin(); move != moves.rend() && shown < kMoves; ++move, ++shown) {
        const auto to = way_text(*move);
        table.add({ago((*move)["ago_s"].number()), to.empty() ? "a way that is gone" : to, (*move)["why"].text()});
    }
    in.out << '\n' << table.text(in.colour);
}

void run(Invocation& in) {
    Request request("why");
    request.set("name", in.arguments.text("PEER"));
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << paragraph("", answer(result));
    if (result["kind"].text() != "member") return;
    in.out << '\n' << paragraph("to change", result["change"].text(), kColumn);
    if (const auto through = result["through"]; !through.is_null()) in.out << paragraph("relay", relay_line(through), kColumn);
    in.out << paragraph("here", side_text(result["here"]), kColumn) << paragraph("there", side_text(result["there"]), kColumn);
    if (const auto next = result["next_attempt_s"].number()) {
        in.out << paragraph("attempts", whole(result["attempts"]) + ", the next in " + duration(std::ceil(*next)), kColumn);
    }
    print_ways(in, result);
    print_moves(in, result);
}

}  // namespace

extern const Command kWhy;
const Command kWhy{
    .name = "why",
    .summary = "tell why a member is reached as it is, and what would make it direct",
    .details = "Every way that is known, what was tried when and what came of it, and one change that would help.",
    .arguments = {{"PEER", "the name of a member"}},
    .options = {},
    .run = run,
};

}  // namespace meshctl
