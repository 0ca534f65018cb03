#include "meshctl/command.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"

namespace meshctl {
namespace {

void run(Invocation& in) {
    const auto result = in.call("phones");
    if (in.printed_as_json(result)) return;
    Table table({{"user"}, {"where"}, {"contact"}, {"expires in", Table::Align::right}});
    for (const auto& phone : result["phones"].elements()) {
        const auto expires = phone["expires_s"].number();
        table.add({phone["aor"].text(), phone["local"].flag() ? Cell("here", Colour::good) : Cell(phone["node"].text()),
                   phone["contact"].text(), expires ? duration(*expires) : ""});
    }
    if (table.empty()) {
        in.hints << "No phone is registered. Phones register at this machine's address, as their outbound proxy.\n";
    } else {
        in.out << table.text(in.colour);
    }
}

}  // namespace

extern const Command kPhones;
const Command kPhones{
    .name = "phones",
    .summary = "list the phones that are registered, here and at other nodes",
    .details = "",
    .arguments = {},
    .options = {},
    .run = run,
};

}  // namespace meshctl
