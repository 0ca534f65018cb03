/// How a live node and its peers find each other: mDNS on the links of this machine, and the bootstrap list. What it
/// finds goes to the node as candidates. Control thread only.
#pragma once

#include <set>

#include "discovery/bootstrap.hpp"
#include "discovery/mdns.hpp"
#include "loop/resolver.hpp"
#include "loop/timer.hpp"
#include "mesh/node.hpp"
#include "meshd/avahi_poll.hpp"
#include "meshd/config.hpp"

namespace meshd {

/// Where others may reach this machine: on all interfaces that are up, but for loopback and `own_device`.
struct OwnAddresses {
    std::vector<net::Endpoint> endpoints;          ///< without link-local ones, which mean nothing elsewhere
    std::vector<discovery::LocalAddress> on_links; ///< with them: mDNS tells those who can use them
    std::vector<std::uint32_t> without_carrier;    ///< of these interfaces, those whose cable leads nowhere, by index
};
OwnAddresses own_addresses(const std::string& own_device, std::uint16_t port);

class LiveDiscovery {
public:
    /// Begins at once. All references are borrowed for life. `port` is the node's, `own_device` its TUN device; `found`
    /// is called after the node has been told something.
    LiveDiscovery(loop::Loop& loop, const Config& config, mesh::Node& node, net::Random& random, loop::Resolver& resolver,
                  std::uint16_t port, std::string own_device, std::function<void()> found);
    ~LiveDiscovery();
    LiveDiscovery(const LiveDiscovery&) = delete;
    LiveDiscovery& operator=(const LiveDiscovery&) = delete;

    void network_changed(const OwnAddresses& now_ours);
    /// A revocation renews the discovery key, so that who is out no longer finds us; the members find each other by the
    /// new one. To be called whenever the roster has changed.
    void follow_key();

private:
    void start_mdns();
    void resolve_bootstrap();
    void ask_services(const discovery::Bootstrap::Question& question);
    void bootstrap_failed(const discovery::Bootstrap::Question& question, const std::string& why);

    loop::Loop& loop_;
    const Config& config_;
    mesh::Node& node_;
    net::Random& random_;
    loop::Resolver& resolver_;
    const std::uint16_t port_;
    const std::string own_device_;
    const std::function<void()> found_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< what is deferred looks whether this still stands

    std::unique_ptr<LoopAvahiPoll> avahi_poll_;
    std::unique_ptr<discovery::Mdns> mdns_;
    mesh::DiscoveryKey mdns_key_;  ///< that mdns_ seals with
    discovery::Bootstrap bootstrap_;
    loop::Timer bootstrap_timer_;
    std::set<std::string> complained_;  ///< of names that do not resolve, once each
};

}  // namespace meshd
