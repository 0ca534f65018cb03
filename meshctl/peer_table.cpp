#include "meshctl/peer_table.hpp"

#include "meshctl/units.hpp"

namespace meshctl {
namespace {

Cell state(const Value& peer) {
    const auto text = peer["state"].text();
    return {text, text == "session" ? Colour::good : text == "connecting" ? Colour::warning : Colour::faint};
}

}  // namespace

Table peer_table(const Value& peers) {
    using enum Table::Align;
    Table table({{"peer"},
                 {"addresses"},
                 {"state"},
                 {"endpoint"},
                 {"via"},
                 {"handshake", right},
                 {"round trip", right},
                 {"received", right},
                 {"sent", right},
                 {"subnets"},
                 {"kind"}});
    for (const auto& peer : peers.elements()) {
        const auto handshake = peer["last_handshake_s"].number();
        table.add({peer["name"].text(), peer["addresses"].joined(), state(peer), peer["endpoint"].text(),
                   peer["via"].text(), handshake ? ago(handshake) : "", milliseconds(peer["rtt_ms"].number()),
                   bytes(peer["rx_bytes"].number()), bytes(peer["tx_bytes"].number()), peer["subnets"].joined(),
                   peer["stock"].flag() ? "stock WireGuard" : ""});
    }
    return table;
}

}  // namespace meshctl
