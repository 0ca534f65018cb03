#include "meshd/live_discovery.hpp"

#include <spdlog/spdlog.h>

#include "loop/interfaces.hpp"
#include "voice/dns.hpp"

namespace meshd {
namespace {

std::vector<discovery::BootstrapEntry> entries_of(const Config& config) {
    std::vector<discovery::BootstrapEntry> out;
    for (const auto& [host, port] : config.bootstrap) {
        out.push_back({host, port == 0 ? discovery::kDefaultPort : port, port == 0});
    }
    return out;
}

}  // namespace

OwnAddresses own_addresses(const std::string& own_device, std::uint16_t port) {
    OwnAddresses out;
    for (const auto& interface : loop::interfaces()) {
        if (!interface.up || interface.loopback || interface.name == own_device) continue;
        if (!interface.running) out.without_carrier.push_back(interface.index);
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
    for (const auto& question : bootstrap_.take_questions()) {
        if (question.kind == discovery::Bootstrap::Question::Kind::services) {
            ask_services(question);
            continue;
        }
        resolver_.resolve(question.name, [this, alive = alive_, question](const net::Result<loop::Addresses>& answer) {
            if (!*alive) return;
            if (answer) {
                bootstrap_.resolved(question.name, answer->addresses, answer->ttl, loop_.now());
            } else {
                bootstrap_failed(question, answer.error().message);
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

void LiveDiscovery::ask_services(const discovery::Bootstrap::Question& question) {
    const voice::DnsQuestion asked{"_meshd._udp." + question.name, voice::DnsType::srv};
    resolver_.ask(asked.name, static_cast<std::uint16_t>(asked.type), [this, alive = alive_, question, asked](const net::Result<net::Bytes>& message) {
        if (!*alive) return;
        const auto answer = message ? voice::parse_dns_answer(asked, *message) : std::nullopt;
        if (answer) {
            std::vector<discovery::BootstrapService> services;
            for (const auto& srv : answer->srvs) services.push_back({srv.priority, srv.weight, srv.port, srv.target});
            bootstrap_.served(question.name, services, answer->ttl, loop_.now());
        } else {
            bootstrap_failed(question, message ? "no answer that could be read for " + asked.name : message.error().message);
        }
        resolve_bootstrap();
    });
}

void LiveDiscovery::bootstrap_failed(const discovery::Bootstrap::Question& question, const std::string& why) {
    if (complained_.insert(why).second) spdlog::warn("bootstrap: {}: {}", question.name, why);
    bootstrap_.failed(question, loop_.now());
}

}  // namespace meshd
