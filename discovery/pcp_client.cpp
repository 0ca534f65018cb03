#include "discovery/pcp_client.hpp"

#include <algorithm>
#include <utility>

namespace discovery {
namespace {

using namespace std::chrono_literals;

// RFC 6887 section 8.1.1. It is repeated for ever: a gateway may learn it one day.
constexpr net::Duration kFirstWait = 3s, kLongestWait = 1024s;
// RFC 6886 section 3.1
constexpr net::Duration kFirstWaitNatPmp = 250ms;
constexpr unsigned kTriesNatPmp = 9;
// Whatever a gateway says, it hears from us at most this often (RFC 6887 section 11.2.1).
constexpr net::Duration kLeastBetween = 4s;
constexpr net::Duration kLeastRefusal = 30s, kLongestRefusal = 30min;
constexpr net::Duration kOtherVersion = 30min;   // section 9
constexpr net::Duration kAnnounceWithin = 5s;    // section 14.1.3
constexpr net::Duration kReleaseAgain = 250ms;

}  // namespace

PcpClient::PcpClient(const Settings& settings, net::Random& random, net::Now now) : settings_(settings), random_(random) {
    settings_.gateway.port = pcp::kServerPort;
    ask(now);
}

/// A tenth more or less, so that clients of one gateway do not keep in step.
net::Duration PcpClient::spread(net::Duration about) {
    const auto fifth = about.count() / 5;
    return about - net::Duration(fifth / 2) + net::Duration(static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(fifth) + 1)));
}

/// Section 11.2.1: between a half and five eighths of what is left.
net::Duration PcpClient::until_renewal(net::Duration left) {
    const auto eighth = left.count() / 8;
    return std::max(kLeastBetween,
                    left / 2 + net::Duration(static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(eighth) + 1))));
}

void PcpClient::ask(net::Now now) {
    state_ = State::asking;
    sent_ = 0;
    address_ = {};
    send(now);
}

void PcpClient::send(net::Now now) {
    const auto lifetime_s = static_cast<std::uint32_t>(std::chrono::seconds(kLifetime).count());
    // What we had is what we would like to have again.
    const auto suggested = mapping_ ? mapping_->external : net::Endpoint{{}, settings_.port, 0};
    if (protocol_ == Protocol::pcp) {
        outbox_.push_back({settings_.gateway, pcp::encode({settings_.local, settings_.nonce, settings_.port, suggested, lifetime_s})});
        if (sent_ > 0 && !answered_ && settings_.local.is_v4()) outbox_.push_back({settings_.gateway, nat_pmp::address_request()});
        wait_ = sent_ == 0 ? spread(kFirstWait) : spread(std::min(2 * wait_, kLongestWait));
    } else {
        if (sent_ == kTriesNatPmp) {  // it has gone, or is another one now: once more from the beginning
            protocol_ = Protocol::pcp;
            answered_ = false;
            return refused("the gateway no longer answers", kLeastRefusal, now);
        }
        outbox_.push_back({settings_.gateway, address_.is_none() ? nat_pmp::address_request()
                                                                 : nat_pmp::map_request(settings_.port, suggested.port, lifetime_s)});
        wait_ = sent_ == 0 ? kFirstWaitNatPmp : 2 * wait_;
    }
    ++sent_;
    sent_at_ = now.steady;
    if (mapping_ && protocol_ == Protocol::pcp) wait_ = until_renewal(mapping_->until - now.steady);
    next_ = now.steady + wait_;
}

void PcpClient::tick(net::Now now) {
    if (ended_) return;
    if (mapping_ && mapping_->until <= now.steady && state_ != State::releasing) {
        mapping_.reset();
        if (trouble_.empty()) trouble_ = "the gateway has not renewed the mapping";
        if (state_ == State::asking && protocol_ == Protocol::pcp) ask(now);  // not at a renewal's pace any more
    }
    if (state_ == State::releasing && release_until_ <= now.steady) ended_ = true;
    if (ended_ || next_ > now.steady) return;
    switch (state_) {
        case State::idle: return ask(now);
        case State::asking: return send(now);
        case State::releasing: return send_release(now);
    }
}

net::Steady PcpClient::next_deadline() const {
    if (ended_) return net::kNever;
    auto deadline = next_;
    if (mapping_ && state_ != State::releasing) deadline = std::min(deadline, mapping_->until);
    if (state_ == State::releasing) deadline = std::min(deadline, release_until_);
    return deadline;
}

std::vector<GatewayDatagram> PcpClient::take_datagrams() { return std::exchange(outbox_, {}); }

void PcpClient::release(net::Now now) {
    if (state_ == State::releasing || ended_) return;
    outbox_.clear();
    // What was asked for may stand there, although no answer has come.
    if (!mapping_ && (state_ != State::asking || !answered_)) {
        ended_ = true;
        return;
    }
    state_ = State::releasing;
    release_until_ = now.steady + kReleaseWithin;
    send_release(now);
}

void PcpClient::send_release(net::Now now) {
    outbox_.push_back({settings_.gateway, protocol_ == Protocol::pcp
                                              ? pcp::encode({settings_.local, settings_.nonce, settings_.port, {}, 0})
                                              : nat_pmp::map_request(settings_.port, 0, 0)});
    next_ = now.steady + kReleaseAgain;
}

void PcpClient::unreachable(net::Now now) {
    if (state_ == State::releasing) ended_ = true;
    if (state_ != State::asking || ended_) return;
    refused("the gateway speaks neither PCP nor NAT-PMP", kOtherVersion, now);
}

void PcpClient::ask_again(net::Now now) {
    if (state_ == State::releasing || ended_) return;
    if (state_ == State::asking) sent_ = 0;
    refusals_ = 0;
    next_ = std::min(next_, std::max(now.steady, sent_at_ + kLeastBetween));
}

void PcpClient::succeeded(const net::Endpoint& external, std::uint32_t lifetime_s, net::Now now) {
    if (external.port == 0 || external.is_none()) return refused("the gateway gave no endpoint", kLeastRefusal, now);
    if (lifetime_s == 0) return refused("the gateway gave a mapping that is over at once", kLeastRefusal, now);
    // No longer than was asked for: what is no good, whoever gave it, is found out in that time.
    const auto lifetime = std::min<net::Duration>(std::chrono::seconds(lifetime_s), kLifetime);
    state_ = State::idle;
    mapping_ = Mapping{external, now.steady + lifetime};
    trouble_.clear();
    refusals_ = 0;
    next_ = now.steady + until_renewal(lifetime);
}

/// What stands, stands until it is over.
void PcpClient::refused(std::string why, net::Duration wait, net::Now now) {
    state_ = State::idle;
    trouble_ = std::move(why);
    wait = std::max(wait, kLeastRefusal * (1U << std::min(refusals_, 5U)));
    ++refusals_;
    wait = spread(std::clamp<net::Duration>(wait, kLeastRefusal, kLongestRefusal));
    if (mapping_) wait = std::min(wait, until_renewal(mapping_->until - now.steady));
    next_ = now.steady + wait;
}

void PcpClient::receive(net::ByteView datagram, const net::Endpoint& from, net::Now now) {
    if (from != settings_.gateway || ended_ || datagram.empty()) return;
    if (datagram.front() == std::byte{0}) {
        if (!settings_.local.is_v4()) return;
        if (const auto response = nat_pmp::parse(datagram)) heard_nat_pmp(*response, now);
    } else if (const auto response = pcp::parse(datagram)) {
        heard_pcp(*response, now);
    }
}

void PcpClient::announced(net::ByteView datagram, const net::Endpoint& from, net::Now now) {
    if (from != settings_.gateway || ended_ || datagram.empty()) return;
    if (datagram.front() == std::byte{0}) {
        if (!settings_.local.is_v4()) return;
        if (const auto response = nat_pmp::parse(datagram)) heard_announcement(*response, now);
    } else if (const auto response = pcp::parse(datagram)) {
        heard_announcement(*response, now);
    }
}

void PcpClient::heard_pcp(const pcp::Response& response, net::Now now) {
    if (response.version != pcp::kVersion) {
        if (response.result != pcp::Result::unsupported_version || state_ != State::asking) return;
        answered_ = true;
        return refused(std::string(text(response.result)), kOtherVersion, now);
    }
    if (!response.map) return heard_announcement(response, now);
    if (protocol_ != Protocol::pcp || response.map->nonce != settings_.nonce || response.map->internal_port != settings_.port) return;
    switch (state_) {
        case State::idle: return;  // late, or a copy
        case State::releasing: ended_ = true; return;
        case State::asking: break;
    }
    answered_ = true;
    epoch_ = Epoch{response.epoch_s, now.steady};
    if (response.result == pcp::Result::success) return succeeded(response.map->external, response.lifetime_s, now);
    refused(std::string(text(response.result)), std::chrono::seconds(response.lifetime_s), now);
}

void PcpClient::heard_nat_pmp(const nat_pmp::Response& response, net::Now now) {
    using nat_pmp::Result;
    const auto* const map = std::get_if<nat_pmp::Map>(&response.says);
    const auto* const address = std::get_if<nat_pmp::Address>(&response.says);
    if (state_ == State::releasing) {
        if (protocol_ == Protocol::nat_pmp && map != nullptr && map->internal_port == settings_.port) ended_ = true;
        return;
    }
    if (state_ == State::idle) return heard_announcement(response, now);
    answered_ = true;
    if (protocol_ == Protocol::pcp) {
        // RFC 6887 appendix A: it refuses our version in its own words. Or it has told its address, which PCP never asks.
        if (response.result != Result::unsupported_version && address == nullptr) return;
        protocol_ = Protocol::nat_pmp;
        epoch_.reset();
        return ask(now);
    }
    if (response.result != Result::success) return refused(std::string(text(response.result)), kLeastRefusal, now);
    if (address != nullptr && address_.is_none()) {
        epoch_ = Epoch{response.epoch_s, now.steady};
        if (address->address.is_none() || address->address.is_unspecified()) {
            return refused("the gateway has no connection itself", kLeastRefusal, now);
        }
        address_ = address->address;
        sent_ = 0;
        send(now);
    } else if (map != nullptr && map->internal_port == settings_.port && !address_.is_none()) {
        succeeded({address_, map->external_port, 0}, map->lifetime_s, now);
    }
}

/// It has begun anew, and so has lost our mapping; or it had been silent, and speaks (RFC 6887 section 14.1.3).
void PcpClient::heard_announcement(const pcp::Response& response, net::Now now) {
    if (response.version != pcp::kVersion || response.map || response.result != pcp::Result::success) return;
    if (!mapping_ || !epoch_goes_on(response.epoch_s, now)) ask_soon(now);
}

/// Likewise, or it has another address (RFC 6886 section 3.2.1).
void PcpClient::heard_announcement(const nat_pmp::Response& response, net::Now now) {
    const auto* const address = std::get_if<nat_pmp::Address>(&response.says);
    if (protocol_ != Protocol::nat_pmp || address == nullptr || response.result != nat_pmp::Result::success) return;
    if (!mapping_ || mapping_->external.address != address->address || !epoch_goes_on(response.epoch_s, now)) ask_soon(now);
}

bool PcpClient::epoch_goes_on(std::uint32_t epoch_s, net::Now now) const {
    return epoch_ && pcp::epoch_goes_on(epoch_->said_s, epoch_s, std::chrono::duration_cast<std::chrono::seconds>(now.steady - epoch_->at).count());
}

/// Not all its clients at once, and not as often as somebody may announce.
void PcpClient::ask_soon(net::Now now) {
    if (state_ == State::releasing) return;
    const auto soon = now.steady + net::Duration(static_cast<std::int64_t>(random_.below(kAnnounceWithin.count())));
    next_ = std::min(next_, std::max(soon, sent_at_ + kLeastBetween));
    if (state_ == State::asking) sent_ = 0;
}

}  // namespace discovery
