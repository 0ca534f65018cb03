/// Asks one gateway to pass what comes to a port of it on to our UDP port, and to go on doing so. Passive.
///
/// PCP is asked for first, with NAT-PMP behind it. Where that is in vain, and we have a private IPv4 address, UPnP is tried as
/// well; PCP goes on being asked for, and wins as soon as it works.
#pragma once

#include <algorithm>

#include "discovery/pcp_client.hpp"
#include "discovery/upnp_client.hpp"

namespace discovery {

/// What is known of one gateway, for people.
struct MappingReport {
    const char* method = "";                ///< "PCP", "NAT-PMP", "UPnP"; of what stands, or else of what was tried last
    net::IpAddress gateway;
    net::IpAddress local;                   ///< ours, on its side
    std::optional<net::Endpoint> external;  ///< that the gateway maps, as it says
    std::chrono::seconds lifetime_left{0};
    bool published = false;                 ///< others are told of `external`
    std::string trouble;                    ///< why there is none, why it is not published, or why it may end; or empty
};

class PortMapping {
public:
    struct Settings {
        net::Endpoint gateway;    ///< the port does not matter; with its scope if it is link-local
        net::IpAddress local;     ///< ours, that datagrams to the gateway leave from
        std::uint16_t port = 0;   ///< UDP, of this machine
        net::Bytes secret;        ///< of this node, the same after a restart: at least 16 bytes, at most 64
    };

    /// Asks at once. `random` must outlive this.
    PortMapping(Settings settings, net::Random& random, net::Now now);

    void receive(net::ByteView datagram, const net::Endpoint& from, net::Now now);
    /// What came to PCP's port of announcements: anybody near may have written it.
    void announced(net::ByteView datagram, const net::Endpoint& from, net::Now now);
    /// The network says that nobody listens where our datagrams went to.
    void unreachable(const net::Endpoint& to, net::Now now);
    /// Something near has changed: the gateway may be another one under the same address.
    void network_changed(net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<GatewayDatagram> take_datagrams();
    /// A request to the gateway on a TCP connection; one before it is given up. answered() tells what has come of it.
    std::optional<UpnpClient::Exchange> take_exchange();
    /// As UpnpClient::answered().
    bool answered(std::uint64_t id, net::ByteView bytes, bool ended, net::Now now);

    /// Deletes what stands. Over when released(), within kReleaseWithin.
    void release(net::Now now);
    bool released() const { return pcp_.released() && (!upnp_ || upnp_->released()); }

    /// Where others can reach our port; nullopt if nowhere. An external address that nobody out there could send to, as
    /// it is private, is not told: it is one of a network in between, or a lie.
    std::optional<net::Endpoint> external() const;
    MappingReport report(net::Now now) const;

    static constexpr auto kReleaseWithin = std::max(PcpClient::kReleaseWithin, UpnpClient::kReleaseWithin);

private:
    const std::optional<PcpClient::Mapping>& mapping() const;

    Settings settings_;
    net::Random& random_;
    PcpClient pcp_;
    std::optional<UpnpClient> upnp_;
    bool releasing_ = false;
};

}  // namespace discovery
