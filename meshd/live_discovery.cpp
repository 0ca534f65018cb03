#include "meshd/live_discovery.hpp"

#include <spdlog/spdlog.h>

#include "loop/interfaces.hpp"

namespace meshd {
namespace {

std::vector<discovery::BootstrapEntry> entries_of(const Config& config) {
    std::vector<discovery::BootstrapEntry> out;
    for (const auto& [host, port] : config.bootstrap) out.push_back({host, port});
    return out;
}

}  // namespace

OwnAddresses own_addresses(const std::string& own_device, std::uint16_t port) {
    OwnAddresses out;
    for (const auto& interface : loop::interfaces()) {
        if (!interface.up || interface.loopback || interface.name == own_device) continue;
        for (const auto& [address, length] : interface.addresses) {
            out.on_links.push_back({interface.index, address});
            if (!address.is_link_local()) out.endpoints.push_back({address, port});
        }
    }
    return out;
}

LiveDiscovery::LiveDiscovery(loop::Loop& loop, const Config& config, mesh::Node& node, net::Random& random,
                             loop::Resolver& resolver, std::uint16_t port, std::string own_device,
                             std::function<void()> found)
    : loop_(loop),
      config_(config),
      node_(node),
      random_(random),
      resolver_(resolver),
      port_(port),
      own_device_(std::move(own_device)),
      found_(std::move(found)),
      bootstrap_(entries_of(config), random, loop.now()),
      bootstrap_timer_(loop, [this] {
          bootstrap_.tick(loop_.now());
          resolve_bootstrap();
      }) {
    resolve_bootstrap();
    start_mdns();
}

LiveDiscovery::~LiveDiscovery() { *alive_ = false; }

void LiveDiscovery::start_mdns() {
    if (!config_.mdns.enabled) return;
    if (!avahi_poll_) avahi_poll_ = std::make_unique<LoopAvahiPoll>(loop_);
    discovery::Sightings sightings;
    sightings.found = [this](const discovery::Member& member) {
        for (const auto& endpoint : member.endpoints) {
            spdlog::debug("mdns: a member at {}", endpoint.text());
            node_.add_candidate(member.node, endpoint, mesh::Source::mdns, loop_.now());
        }
        found_();
    };
    sightings.lost = [](const net::NodeKey&) {};
    discovery::Mdns::Settings settings;
    mdns_key_ = node_.discovery_key();
    settings.key = discovery::DiscoveryKey(std::span<const std::byte, 32>(mdns_key_.view()));
    settings.self = node_.key();
    settings.port = port_;
    settings.interfaces = config_.mdns.interfaces;
    settings.denied_interfaces = {own_device_};
    auto mdns = discovery::Mdns::open(avahi_poll_->api(), std::move(settings), std::move(sightings), random_);
    if (!mdns) {
        // A machine without multicast still has its bootstrap list.
        spdlog::warn("mdns is off: {}", mdns.error().message);
        return;
    }
    mdns_ = std::move(*mdns);
    mdns_->set_addresses(own_addresses(own_device_, port_).on_links);
}

void LiveDiscovery::follow_key() {
    if (!mdns_ || mdns_key_.equals(node_.discovery_key())) return;
    // Not from here: what has told us may be mDNS itself.
    loop_.defer([this, alive = alive_] {
        if (!*alive || mdns_key_.equals(node_.discovery_key())) return;
        mdns_.reset();
        start_mdns();
    });
}

void LiveDiscovery::network_changed(const OwnAddresses& now_ours) {
    bootstrap_.network_changed(loop_.now());
    resolve_bootstrap();
    if (mdns_) mdns_->set_addresses(now_ours.on_links);
}

void LiveDiscovery::resolve_bootstrap() {
    for (const auto& name : bootstrap_.take_questions()) {
        resolver_.resolve(name, [this, alive = alive_, name](const net::Result<loop::Addresses>& answer) {
            if (!*alive) return;
            if (answer) {
                bootstrap_.resolved(name, answer->addresses, answer->ttl, loop_.now());
            } else {
                if (complained_.insert(name).second) spdlog::warn("bootstrap: {}: {}", name, answer.error().message);
                bootstrap_.failed(name, loop_.now());
            }
            resolve_bootstrap();
        });
    }
    if (bootstrap_.take_changed()) {
        node_.set_bootstrap(bootstrap_.endpoints(), loop_.now());
        found_();
    }
    bootstrap_timer_.at(bootstrap_.next_deadline());
}

}  // namespace meshd
