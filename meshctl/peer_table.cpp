#include "meshctl/peer_table.hpp"

#include <algorithm>

#include "meshctl/units.hpp"
#include "meshctl/way_text.hpp"

namespace meshctl {
namespace {

Cell state(const Value& peer) {
    const auto text = peer["state"].text();
    return {text, text == "session" ? Colour::good : text == "connecting" ? Colour::warning : Colour::faint};
}

/// The address that is easiest to type: IPv4, if it has one.
std::string short_address(const Value& peer) {
    const auto addresses = peer["addresses"].elements();
    const auto v4 = std::find_if(addresses.begin(), addresses.end(),
                                 [](const Value& one) { return one.text().find(':') == std::string::npos; });
    return v4 != addresses.end() ? v4->text() : peer["addresses"].joined();
}

}  // namespace

Table short_peer_table(const Value& peers) {
    Table table({{"peer"}, {"address"}, {"state"}, {"endpoint"}, {"round trip", Table::Align::right}, {"subnets"}});
    for (const auto& peer : peers.elements()) {
        table.add({peer["name"].text(), short_address(peer), state(peer), way_text(peer),
                   milliseconds(peer["rtt_ms"].number()), peer["subnets"].joined()});
    }
    return table;
}

Table peer_table(const Value& peers) {
    using enum Table::Align;
    Table table({{"peer"},
                 {"addresses"},
                 {"state"},
                 {"endpoint"},
                 {"way"},
                 {"via"},
                 {"handshake", right},
                 {"round trip", right},
                 {"received", right},
                 {"sent", right},
                 {"subnets"},
                 {"kind"}});
    for (const auto& peer : peers.elements()) {
        const auto handshake = peer["last_handshake_s"].number();
        table.add({peer["name"].text(), peer["addresses"].joined(), state(peer), way_text(peer),
                   rank_text(peer["rank"].text()), peer["via"].text(), handshake ? ago(handshake) : "", milliseconds(peer["rtt_ms"].number()),
                   bytes(peer["rx_bytes"].number()), bytes(peer["tx_bytes"].number()), peer["subnets"].joined(),
                   peer["stock"].flag() ? "stock WireGuard" : ""});
    }
    return table;
}

}  // namespace meshctl
