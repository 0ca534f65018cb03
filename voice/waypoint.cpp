#include "voice/waypoint.hpp"

namespace voice {

Uri contact_uri(std::string_view token, const net::Endpoint& local, Transport transport) {
    auto uri = Uri::of(token, local);
    if (transport == Transport::tcp) uri.params.set("transport", "tcp");
    return uri;
}

Uri waypoint_uri(const Waypoint& waypoint, const net::Endpoint& local, Transport transport) {
    auto uri = contact_uri(waypoint.token, local, transport);
    uri.params.set("lr");
    uri.params.set("meshd", waypoint.node);
    return uri;
}

std::optional<Waypoint> waypoint_of(const Uri& uri) {
    const auto node = uri.params.get("meshd");
    if (!node || node->empty()) return std::nullopt;
    return Waypoint{NodeId(*node), uri.user};
}

}  // namespace voice
