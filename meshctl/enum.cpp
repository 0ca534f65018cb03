#include "meshctl/command.hpp"
#include "meshctl/table.hpp"

namespace meshctl {
namespace {

std::string whole(const Value& number) {
    const auto value = number.number();
    return value ? std::to_string(static_cast<long long>(*value)) : "";
}

Colour colour_of(const std::string& verdict) {
    if (verdict == "usable") return Colour::good;
    if (verdict == "skipped") return Colour::warning;
    return verdict == "outranked" ? Colour::faint : Colour::none;
}

void print_domains(Invocation& in, const Value& result) {
    for (const auto& domain : result["domains"].elements()) {
        const auto answer = domain["answer"].text();
        in.out << printable(domain["name"].text());
        if (answer == "nothing") in.out << ": nothing";
        if (answer == "failed") in.out << ": " << coloured("no name server answers", Colour::bad, in.colour);
        if (domain["stale"].flag()) in.out << ": " << coloured("an old answer, DNS does not answer", Colour::warning, in.colour);
        if (const auto skipped = domain["skipped"].number(); skipped && *skipped > 0) {
            in.out << " (" << whole(domain["skipped"]) << " records cannot be read)";
        }
        in.out << '\n';
    }
}

void print_records(Invocation& in, const Value& result) {
    Table table({{"order", Table::Align::right}, {"pref", Table::Align::right}, {"flags"}, {"services"}, {"expression"},
                 {"replacement"}, {"verdict"}, {"uri"}, {"because"}});
    for (const auto& record : result["records"].elements()) {
        const auto verdict = record["verdict"].text();
        const auto depth = static_cast<std::size_t>(record["depth"].number().value_or(0));
        table.add({std::string(depth, '>') + whole(record["order"]), whole(record["preference"]), record["flags"].text(),
                   record["services"].text(), record["regexp"].text(), record["replacement"].text(),
                   {verdict, colour_of(verdict)}, record["uri"].text(), record["why"].text()});
    }
    if (!table.empty()) in.out << '\n' << table.text(in.colour);
}

void print_call(Invocation& in, const Value& result) {
    in.out << '\n';
    if (const auto user = result["user"].text(); !user.empty()) {
        in.out << "A call rings " << printable(user) << ", who has this number in the mesh.\n";
        return;
    }
    const auto use = result["use"].text();
    const bool centre = result["centre"].flag();
    if (use == "never") {
        in.out << "A call does not ask DNS here (\"use\": \"never\").\n";
        return;
    }
    std::string way = centre && use != "always" ? "While the central server is out of reach a call" : "A call";
    bool any = false;
    for (const auto& lead : result["leads"].elements()) {
        const auto uri = printable(lead["uri"].text());
        const auto hops = lead["hops"].elements();
        if (hops.empty()) in.out << "No way to " << uri << ": " << printable(lead["why"].text()) << ".\n";
        for (const auto& hop : hops) {
            in.out << way << " goes to " << uri << " by " << hop["transport"].text() << " at " << printable(hop["at"].text());
            if (const auto name = hop["name"].text(); !name.empty()) in.out << " (" << printable(name) << ')';
            in.out << ".\n";
            way = any ? way : "If that fails it";
            any = true;
        }
    }
    if (!any) in.out << way << (centre && use == "always" ? " goes to the central server.\n" : " has nowhere to go.\n");
}

void run(Invocation& in) {
    Request request("enum");
    request.set("number", in.arguments.text("NUMBER"));
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    in.out << printable(result["number"].text()) << '\n';
    print_domains(in, result);
    print_records(in, result);
    print_call(in, result);
}

}  // namespace

extern const Command kEnum;
const Command kEnum{
    .name = "enum",
    .summary = "tell what DNS says of a telephone number, and what a call would do",
    .details = "Asks as this node's calls do (RFC 6116, RFC 3263), and shows every record with what became of it.",
    .arguments = {{"NUMBER", "such as +44-207-9460-148, or as it is dialled here"}},
    .options = {},
    .run = run,
};

}  // namespace meshctl
