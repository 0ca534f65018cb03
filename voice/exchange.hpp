/// What all parts of the proxy share: who we are, the tables, and the way to the centre, to the nodes and to phones.
#pragma once

#include "voice/emergency.hpp"
#include "voice/gateways.hpp"
#include "voice/help_allowance.hpp"
#include "voice/places.hpp"
#include "voice/proxy.hpp"
#include "voice/transaction.hpp"
#include "voice/waypoint.hpp"

namespace voice {

inline constexpr std::uint16_t kMeshPort = 5080;  ///< SIP between meshd, on overlay addresses
inline constexpr std::string_view kAllow =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, INFO, PRACK, REFER, NOTIFY, SUBSCRIBE, MESSAGE, PUBLISH";

struct Exchange {
    Exchange(ProxySettings settings_, Environment& environment_, net::Random& random_, net::Now now);

    ProxySettings settings;
    Environment& environment;
    net::Random& random;
    Transactions transactions;
    Location location;
    std::optional<CentreMonitor> monitor;  ///< none without a centre
    Names names;
    Places outside;
    Gateways gateways;
    HelpAllowance help_allowance;
    ProxyCounters counters;
    std::vector<ProxyEvent> events;

    const Directory& directory() const { return environment.directory(); }
    bool centre_up() const { return monitor && monitor->believed_up(); }
    bool centre_busy() const { return monitor && monitor->busy(); }
    /// The centre is back, but not every phone has come by since to register there again.
    bool settling(net::Now now) const {
        return centre_up() && monitor->losses() > 0 && now.steady - monitor->since().steady < settings.expires;
    }
    /// Who is on the far end; nullopt for a stranger, who gets silence. What the owner said of mesh stays, for a member.
    std::optional<Side> side_of(const Flow& flow) const;
    bool is_centre(const net::Endpoint& endpoint) const {
        return settings.centre && settings.centre->endpoint == endpoint;
    }
    /// The number of ours that a request calls for help by, if it does.
    std::optional<std::string> help_wanted(const Message& request) const {
        if (settings.emergency.empty() || request.method() != "INVITE" || !request.to_tag().empty()) return std::nullopt;
        return emergency_number(request.uri(), settings.emergency, settings.dial_plan.settings());
    }
    /// Whether another office says that this request is a call for help: a member without the voice role is not believed.
    bool help_from_mesh(const Message& request, const Flow& came_by) const;
    /// Whether a request, of which help_from_mesh() holds or not, is spared where others are refused; counted by member.
    bool spares(const Message& request, const Flow& came_by, net::Now now);
    bool is_phone_address(const net::IpAddress& address) const;
    bool is_office(const Flow& flow) const;  ///< another member with the voice role is on its far end

    Flow flow_to(const net::Endpoint& remote, Transport transport, Side side) const;
    Flow to_centre() const;                                 ///< requires a centre
    std::optional<Flow> to_node(const NodeId& node) const;  ///< nullopt: not over the mesh, not now; or it is us
    /// Our Via's sent-by, and the endpoint that stands in Contact and Record-Route, toward the far end of `flow`.
    net::Endpoint local_toward(const Flow& flow) const;
    std::string sent_by(const Flow& flow) const { return local_toward(flow).text(); }
    /// Whether a URI names us: a waypoint of ours, or an address of ours.
    bool is_us(const Uri& uri, const Flow& came_by) const;
    /// The mesh member that a message on a mesh flow comes from.
    std::optional<NodeId> node_of(const Flow& flow) const;

    /// Answers a server transaction from here.
    void answer(ServerId id, int status, net::Now now, std::string_view phrase = {});
    Message response_to(ServerId id, int status, std::string_view phrase = {});

    std::string new_token();  ///< 96 random bits, in letters and digits that stand in any URI
    std::string mode() const;
};

}  // namespace voice
