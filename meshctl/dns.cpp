#include "meshctl/command.hpp"
#include "meshctl/dns_line.hpp"
#include "meshctl/table.hpp"

namespace meshctl {
namespace {

void print_name(Invocation& in, const Value& result) {
    const auto records = result["records"].elements();
    for (const auto& record : records) in.out << printable(record.text()) << '\n';
    if (!records.empty()) return;
    const auto name = printable(result["name"].text());
    if (!result["ours"].flag()) {
        in.out << name << " is in no zone of this node: whoever asks for it is refused.\n";
    } else if (result["exists"].flag()) {
        in.out << name << " has no records; there are some below it.\n";
    } else {
        in.out << "There is no " << name << ".\n";
    }
}

void print_all(Invocation& in, const Value& result) {
    in.out << "dns    " << dns_line(result, in.colour) << '\n';
    for (const auto& door : result["listen"].elements()) {
        if (door["open"].flag()) continue;
        in.out << coloured("beware", Colour::bad, in.colour) << ' ' << printable(door["why"].text()) << '\n';
    }
    const auto resolved = result["resolved"];
    if (resolved["state"].text() == "absent") {
        in.out << "This machine has no systemd-resolved to be told (" << printable(resolved["why"].text())
               << "). For these names here, let its resolver ask there.\n";
    }
    const auto zones = result["zones"].elements();
    if (!zones.empty()) in.out << "\nWith authority for:\n";
    for (const auto& zone : zones) in.out << "  " << printable(zone.text()) << '\n';
    Table table({{"counter"}, {"count", Table::Align::right}});
    for (const auto& [name, count] : result["counters"].members()) {
        if (const auto number = count.number(); number && *number != 0) {
            table.add({name, std::to_string(static_cast<unsigned long long>(*number))});
        }
    }
    if (!table.empty()) in.out << '\n' << table.text(in.colour);
}

void run(Invocation& in) {
    Request request("dns");
    const bool one = in.arguments.has("NAME");
    if (one) request.set("name", in.arguments.text("NAME"));
    const auto result = in.call(request);
    if (in.printed_as_json(result)) return;
    if (one) {
        print_name(in, result);
    } else {
        print_all(in, result);
    }
}

}  // namespace

extern const Command kDns;
const Command kDns{
    .name = "dns",
    .summary = "show which names this node answers DNS questions for, and where",
    .details = "With a name: its records, as phones and others are told them.",
    .arguments = {{"NAME", "such as trento.acme.internal", true}},
    .options = {},
    .run = run,
};

}  // namespace meshctl
