#include "voice/exchange.hpp"

#include <algorithm>
#include <array>

#include "net/text.hpp"
#include "voice/overload.hpp"

namespace voice {

Exchange::Exchange(ProxySettings settings_, Environment& environment_, net::Random& random_, net::Now now)
    : settings(std::move(settings_)),
      environment(environment_),
      random(random_),
      transactions(random_),
      location(settings.max_bindings),
      names(settings.names, random_) {
    if (settings.centre) monitor.emplace(settings.centre_times, now);
    transactions.spare([this](const Message& request, const Flow* came_by, net::Now at) {
        return came_by == nullptr ? help_wanted(request).has_value() : spares(request, *came_by, at);
    });
}

std::optional<Side> Exchange::side_of(const Flow& flow) const {
    if (flow.side == Side::mesh) return node_of(flow) ? std::optional(Side::mesh) : std::nullopt;
    const bool phone = is_phone_address(flow.remote.address);
    if (settings.centre && flow.remote.address == settings.centre->endpoint.address) {
        // A phone may run on the centre's machine; then the port tells them apart, where it can (UDP).
        if (flow.remote == settings.centre->endpoint || !phone) return Side::centre;
        // Over TCP it calls from any port: where it is to be spoken to by TCP, its machine is its own.
        if (flow.reliable() && (flow.side == Side::centre || settings.centre->transport == flow.transport)) {
            return Side::centre;
        }
    }
    if (!gateways.trunk_at(flow.remote, phone).empty()) return Side::trunk;
    if (outside.contains(flow.remote) || (!phone && outside.contains(flow.remote.address))) return Side::outside;
    if (phone) return Side::phone;
    return std::nullopt;
}

bool Exchange::is_phone_address(const net::IpAddress& address) const {
    return std::any_of(settings.phones.begin(), settings.phones.end(),
                       [&](const auto& prefix) { return prefix.contains(address.unmapped()); });
}

bool Exchange::help_from_mesh(const Message& request, const Flow& came_by) const {
    if (settings.emergency.empty() || request.method() != "INVITE" || !request.to_tag().empty()) return false;
    return request.uri().params.has(kEmergencyParam) && is_office(came_by);
}

bool Exchange::spares(const Message& request, const Flow& came_by, net::Now now) {
    if (came_by.side != Side::mesh) return help_wanted(request).has_value();
    return help_from_mesh(request, came_by) && help_allowance.take(*node_of(came_by), now.steady);
}

bool Exchange::is_office(const Flow& flow) const {
    const auto node = node_of(flow);
    const auto nodes = directory().voice_nodes();
    return node && std::find(nodes.begin(), nodes.end(), *node) != nodes.end();
}

Flow Exchange::flow_to(const net::Endpoint& remote, Transport transport, Side side) const {
    return {transport, environment.local(remote, transport, side), remote, 0, side};
}

Flow Exchange::to_centre() const {
    return flow_to(settings.centre->endpoint, settings.centre->transport, Side::centre);
}

std::optional<Flow> Exchange::to_node(const NodeId& node) const {
    if (node == settings.node) return std::nullopt;
    const auto address = directory().overlay_of(node);
    if (!address) return std::nullopt;
    return flow_to({*address, kMeshPort, 0}, Transport::udp, Side::mesh);
}

net::Endpoint Exchange::local_toward(const Flow& flow) const {
    return environment.local(flow.remote, flow.transport, flow.side);
}

bool Exchange::is_us(const Uri& uri, const Flow& came_by) const {
    if (const auto waypoint = waypoint_of(uri)) return waypoint->node == settings.node;
    const auto endpoint = uri.endpoint();
    if (!endpoint) return false;
    if (*endpoint == came_by.local || *endpoint == local_toward(came_by)) return true;
    return settings.centre && *endpoint == local_toward(to_centre());
}

std::optional<NodeId> Exchange::node_of(const Flow& flow) const {
    if (flow.side != Side::mesh) return std::nullopt;
    return directory().node_at(flow.remote.address);
}

Message Exchange::response_to(ServerId id, int status, std::string_view phrase) {
    return Message::response(*transactions.request_of(id), status, phrase, transactions.make_tag());
}

void Exchange::answer(ServerId id, int status, net::Now now, std::string_view phrase) {
    if (transactions.request_of(id) == nullptr) return;
    auto response = response_to(id, status, phrase);
    if (status == 503) response.set("Retry-After", retry_after(random));
    transactions.respond(id, response, now);
}

std::string Exchange::new_token() {
    std::array<std::byte, 12> bytes;
    random.fill(bytes);
    return net::to_base32(bytes).substr(0, 19);
}

std::string Exchange::mode() const {
    if (!monitor) return "registrar";
    if (monitor->state() == CentreMonitor::State::checking) return "checking";
    if (monitor->busy()) return "busy";
    return monitor->believed_up() ? "central" : "island";
}

}  // namespace voice
