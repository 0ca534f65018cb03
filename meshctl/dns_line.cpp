#include "meshctl/dns_line.hpp"

namespace meshctl {

std::string dns_line(const Value& dns, bool colour) {
    if (!dns["enabled"].flag()) return "off";
    std::string open, shut;
    for (const auto& door : dns["listen"].elements()) {
        auto& list = door["open"].flag() ? open : shut;
        list += (list.empty() ? "" : ", ") + printable(door["at"].text());
    }
    auto out = printable(dns["domain"].text());
    if (!open.empty()) out += " at " + open;
    if (!shut.empty()) out += coloured((open.empty() ? ", not at " : "; not at ") + shut, Colour::bad, colour);
    const auto resolved = dns["resolved"]["state"].text();
    if (resolved == "told") out += "; systemd-resolved asks it";
    if (resolved == "refused") out += coloured("; systemd-resolved refuses to ask it: ", Colour::warning, colour) + printable(dns["resolved"]["why"].text());
    return out;
}

}  // namespace meshctl
