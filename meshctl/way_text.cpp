#include "meshctl/way_text.hpp"

namespace meshctl {

std::string way_text(const Value& way) {
    const auto rank = way["rank"].text();
    if (const auto relay = way["relay"].text(); !relay.empty()) return "relay " + relay;
    if (const auto stream = way["stream"].text(); !stream.empty()) return "tls " + stream;
    if (rank == "relay") return "relay";  // one that is gone
    if (rank == "stream") return "tls";
    const auto endpoint = way["endpoint"].text();
    const auto own_port = way["own_port"];
    return own_port.is_null() || own_port.flag() ? endpoint : endpoint + " (birthday)";
}

std::string rank_text(const std::string& rank) {
    if (rank == "lan") return "LAN";
    if (rank == "mapped") return "mapped port";
    if (rank == "punched") return "through NAT";
    if (rank == "stream") return "TLS";
    return rank;
}

}  // namespace meshctl
