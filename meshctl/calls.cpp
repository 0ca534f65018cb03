#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "meshctl/command.hpp"
#include "meshctl/request.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

/// The worse of both ways, of sound and picture: what of it was lost.
std::string lost(const Value& call) {
    double worst = 0, heard = 0;
    for (const auto& stream : call["streams"].elements()) {
        for (const auto* side : {"from_caller", "from_callee"}) {
            const auto packets = stream[side]["packets"].number().value_or(0), gone = stream[side]["lost"].number().value_or(0);
            heard += packets;
            if (packets + gone > 0) worst = std::max(worst, gone / (packets + gone));
        }
    }
    if (heard == 0) return {};
    std::array<char, 32> out{};
    std::snprintf(out.data(), out.size(), worst > 0 && worst < 0.01 ? "%.1f %%" : "%.0f %%", worst * 100);
    return out.data();
}

std::string jitter(const Value& call) {
    std::optional<double> worst;
    for (const auto& stream : call["streams"].elements()) {
        for (const auto* side : {"from_caller", "from_callee"}) {
            if (stream[side]["packets"].number().value_or(0) == 0) continue;
            worst = std::max(worst.value_or(0), stream[side]["jitter_ms"].number().value_or(0));
        }
    }
    return milliseconds(worst);
}

/// What is wrong with its sound; or why nobody here knows.
Cell audio(const Value& call) {
    const auto wrong = call["audio"].text();
    return wrong.empty() ? Cell{call["not_measured"].text()} : Cell{wrong, Colour::bad};
}

std::string local_time(std::optional<double> unix_seconds) {
    if (!unix_seconds) return {};
    const auto at = static_cast<std::time_t>(*unix_seconds);
    std::tm parts{};
    std::array<char, 32> out{};
    if (localtime_r(&at, &parts) == nullptr || std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S", &parts) == 0) return {};
    return out.data();
}

std::string talked(const Value& call) {
    const auto answered = call["answered"].number(), ended = call["ended"].number();
    return answered && ended ? duration(*ended - *answered) : "";
}

/// Why it ended, as each node says that says otherwise than the whole.
std::string end_of(const Value& call) {
    if (!call["ended"].number()) return "goes on";
    auto out = call["why"].text();
    for (const auto& side : call["sides"].elements()) {
        const auto why = side["why"].text();
        if (!why.empty() && why != call["why"].text()) out += "; at " + side["node"].text() + ": " + why;
    }
    return out;
}

/// Once each, in the order in which they come.
void add_name(std::vector<std::string>& names, const std::string& name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

std::string in_one_line(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : " ") + name;
    return out;
}

void print_history(Invocation& in) {
    Request request("calls.history");
    if (in.arguments.has("--all-nodes")) request.set_flag("all_nodes", true);
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    Table table({{"began"}, {"from"}, {"to"}, {"path"}, {"talked", Table::Align::right}, {"end"}, {"lost", Table::Align::right},
                 {"jitter", Table::Align::right}, {"audio"}, {"nodes"}, {"id"}});
    for (const auto& call : result["calls"].elements()) {
        std::vector<std::string> nodes, ids{call["id"].text()};
        for (const auto& side : call["sides"].elements()) {
            add_name(nodes, side["node"].text());
            add_name(ids, side["id"].text());
        }
        table.add({local_time(call["started"].number()), call["from"].text(), call["to"].text(), call["path"].text(), talked(call),
                   end_of(call), lost(call), jitter(call), audio(call), in_one_line(nodes),
                   {in_one_line(ids), Colour::faint}});
    }
    if (table.empty()) {
        in.hints << "No call has gone through this node yet.\n";
    } else {
        in.out << table.text(in.colour);
    }
    if (const auto silent = result["silent"].joined(", "); !silent.empty()) {
        in.hints << "Of these nodes nothing was heard: " << printable(silent) << ".\n";
    }
}

void run(Invocation& in) {
    if (in.arguments.has("--all-nodes") && !in.arguments.has("--history")) throw UsageError("--all-nodes goes with --history");
    if (in.arguments.has("--history")) return print_history(in);
    const auto result = in.call("calls");
    if (in.printed_as_json(result)) return;
    Table table({{"from"}, {"to"}, {"state"}, {"path"}, {"for", Table::Align::right}, {"lost", Table::Align::right},
                 {"jitter", Table::Align::right}, {"audio"}, {"id"}});
    for (const auto& call : result["calls"].elements()) {
        const auto since = call["since_s"].number();
        table.add({call["from"].text(),
                   call["to"].text(),
                   call["state"].text(),
                   call["path"].text(),
                   since ? duration(*since) : "",
                   lost(call),
                   jitter(call),
                   audio(call),
                   {call["id"].text(), Colour::faint}});
    }
    if (table.empty()) {
        in.hints << "No call goes through this node now.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kCalls;
const Command kCalls{
    .name = "calls",
    .summary = "list the calls that go through this node, or that did",
    .details = "A call's path is central (through the centre), mesh (to another node), local (between phones here) or outside. "
               "Loss and jitter are the worse of both ways. Where only one side is heard, the column audio says which is not, "
               "and where its sound ought to come from; of media that goes direct, past this node, that it is not measured here.",
    .arguments = {},
    .options = {{"--history", Command::Takes::flag, nullptr, "those that are over, too, the latest first: when, how long, why they ended"},
                {"--all-nodes", Command::Takes::flag, nullptr, "with what the other offices' nodes say of the same calls"}},
    .run = run,
};

}  // namespace meshctl
