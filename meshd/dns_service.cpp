#include "meshd/dns_service.hpp"

#include <algorithm>
#include <utility>
#include <spdlog/spdlog.h>

#include "meshd/dns_askers.hpp"
#include "meshd/resolved.hpp"

namespace meshd {
namespace {

// Making zones costs about a microsecond a name: at most some 2 % of the time.
constexpr auto kEveryName = std::chrono::microseconds(50);
constexpr auto kAtMost = std::chrono::seconds(1);
constexpr auto kTellAfter = std::chrono::seconds(1);
constexpr const char* kAsksHere = "asks here";  // of systemd-resolved the log says last

DnsNaming naming_of(const Config& config) {
    DnsNaming out;
    out.voice_domain = config.voice.domain.value_or("");
    out.phones_here = config.voice.enabled;
    out.sip_port = config.voice.port;
    if (config.voice.tls.listens) out.sips_port = config.voice.tls.port;
    out.dial_plan = voice::DialPlan(config.voice.dial_plan);
    out.suffixes = config.dns.suffixes;
    out.phones_reach = config.dns.phones_reach;
    return out;
}

}  // namespace

DnsService::DnsService(loop::Loop& loop, const Config& config, const mesh::Node& node, std::uint32_t device)
    : loop_(loop), config_(config.dns), node_(node), device_(device), naming_(naming_of(config)),
      resolved_timer_(loop, [this] { tell_resolved(); }) {
    sockets_ = std::make_unique<DnsSockets>(
        loop_, config_.port,
        DnsSockets::Events{
            [this](net::ByteView message, const auto& from, const auto& to, bool by_tcp) { return answer(message, from, to, by_tcp); },
            [this](const auto& from, const auto& to, bool overlay) { return may_ask(node_, config_.clients, from, to, overlay); },
            [this] { doors_changed(); }});
    if (config_.resolved) {
        resolved_ = std::make_unique<Resolved>(loop_, static_cast<int>(device_), [this] { resolved_changed(); });
    }
    follow_addresses();
}

DnsService::~DnsService() = default;

void DnsService::changed(bool users) {
    stale_ = true;
    numbers_stale_ |= users;
    if (resolved_ && resolved_timer_.deadline() == net::kNever) resolved_timer_.after(kTellAfter);
}

void DnsService::follow_addresses() {
    std::vector<DnsSockets::Place> places;
    for (const auto& address : node_.self().says.addresses) places.push_back({address, true});
    for (const auto& address : config_.listen) places.push_back({address, false});
    sockets_->listen(places, device_);
}

const dns::Zones& DnsService::zones() {
    const auto now = loop_.now();
    const auto& there = zones_.contents();
    const auto wait = std::min<net::Duration>(kAtMost, (there.hosts.size() + zones_.numbers().size()) * kEveryName);
    if (stale_ && (made_ == net::Steady{} || now.steady >= made_ + wait)) {
        if (std::exchange(numbers_stale_, false)) numbers_ = dns_numbers(node_, naming_);
        zones_ = dns::Zones(dns_contents(node_, naming_, numbers_, now));
        made_ = now.steady;
        stale_ = false;
    }
    return zones_;
}

net::Bytes DnsService::answer(net::ByteView message, const net::IpAddress& from, const net::IpAddress& to, bool by_tcp) {
    auto response = dns::respond(zones(), {message, by_tcp, to, may_ask_numbers(node_, config_.numbers, from, to)});
    ++counts_[static_cast<std::size_t>(response.outcome)];
    return std::move(response.message);
}

void DnsService::doors_changed() {
    for (const auto& [address, door] : sockets_->doors()) {
        auto& told = told_[address];
        if (told == door.trouble) continue;
        told = door.trouble;
        if (told.empty()) {
            spdlog::info("DNS is answered at {} again", address.text());
        } else {
            spdlog::warn("DNS is not answered at {}: {}; or set another \"dns\": {{\"port\": ...}}, or \"dns\": false", address.text(), told);
        }
    }
    if (resolved_) tell_resolved();
}

void DnsService::tell_resolved() {
    Resolved::Wish wish;
    wish.port = config_.port;
    for (const auto& [address, door] : sockets_->doors()) {
        if (door.overlay && door.trouble.empty()) wish.servers.push_back(address);
    }
    if (!wish.servers.empty()) {
        for (const auto& apex : zones().apexes()) wish.domains.push_back(apex.text());
        if (stale_) resolved_timer_.after(kTellAfter);  // those were of a moment ago
    }
    resolved_->want(std::move(wish));
}

void DnsService::resolved_changed() {
    const auto before = told_of_resolved_;
    const auto& why = resolved_->why();
    switch (resolved_->state()) {
        case Resolved::State::asking: break;
        case Resolved::State::told:
            told_of_resolved_ = kAsksHere;
            spdlog::info("systemd-resolved asks here for {}", mesh_domain(node_));
            break;
        case Resolved::State::absent:
            if (before != kAsksHere) break;  // most machines have none
            told_of_resolved_ = why;
            spdlog::warn("systemd-resolved does not ask here for {} any more: {}", mesh_domain(node_), why);
            break;
        case Resolved::State::refused:
            told_of_resolved_ = why;
            if (before != why) spdlog::warn("systemd-resolved does not let this node tell it the mesh's names: {}", why);
            break;
    }
}

}  // namespace meshd
