#include "voice/waypoint.hpp"

#include "net/text.hpp"

namespace voice {

Transport transport_of(const Uri& uri) {
    const auto named = net::to_lower(uri.params.get("transport").value_or(""));
    if (uri.scheme == "sips" || named == "tls") return Transport::tls;
    return named == "tcp" ? Transport::tcp : Transport::udp;
}

Uri contact_uri(std::string_view token, const net::Endpoint& local, Transport transport) {
    auto uri = Uri::of(token, local);
    if (transport == Transport::tcp) uri.params.set("transport", "tcp");
    if (transport == Transport::tls) uri.params.set("transport", "tls");
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
