#include "discovery/upnp_client.hpp"

#include <algorithm>
#include <utility>

namespace discovery {
namespace {

using namespace std::chrono_literals;

constexpr net::Duration kSearchAgain = 1s;
constexpr unsigned kSearches = 3;
constexpr net::Duration kAnswerWithin = 5s;
constexpr net::Duration kLeastBetween = 4s;
// It tells nobody when it has begun anew or has another address: so it is asked more often than the lease would need.
constexpr net::Duration kRenewEvery = 15min;
constexpr net::Duration kLeastRefusal = 2min, kLongestRefusal = 1h;
constexpr unsigned kMostConflicts = 4;
// Errors of AddPortMapping (WANIPConnection:2 section 2.5.16)
constexpr std::string_view kConflict = "718", kSamePort = "724", kOnlyPermanent = "725";
constexpr std::uint16_t kLeastPort = 1024;

std::string text_of(const upnp::HttpAnswer& answer) {
    const auto code = upnp::element(answer.body, "errorCode");
    if (code && code->size() < 8) return "error " + *code;
    return "HTTP " + std::to_string(answer.status);
}

}  // namespace

UpnpClient::UpnpClient(const Settings& settings, net::Random& random, net::Now now) : settings_(settings), random_(random) { search(now); }

void UpnpClient::search(net::Now now) {
    state_ = State::searching;
    began_ = now.steady;
    searches_ = conflicts_ = 0;
    services_.clear();
    next_ = now.steady;
    tick(now);
}

void UpnpClient::tick(net::Now now) {
    if (mapping_ && mapping_->until <= now.steady) {
        mapping_.reset();
        if (!permanent_) standing_.reset();
    }
    if (next_ > now.steady) return;
    switch (state_) {
        case State::over: return;
        case State::idle: return services_.empty() ? search(now) : ask_address(now);
        case State::searching:
            if (searches_ == kSearches) return refused("it is no UPnP gateway", now);
            ++searches_;
            for (const auto& to : {net::Endpoint{settings_.gateway, upnp::search_group().port, 0}, upnp::search_group()}) {
                outbox_.push_back({to, upnp::search()});
            }
            next_ = now.steady + kSearchAgain;
            return;
        case State::describing:
        case State::asking_address:
        case State::mapping: return exchange_failed(now);
        case State::releasing: state_ = State::over; return;
    }
}

net::Steady UpnpClient::next_deadline() const {
    if (state_ == State::over) return net::kNever;
    return mapping_ ? std::min(next_, mapping_->until) : next_;
}

std::vector<GatewayDatagram> UpnpClient::take_datagrams() { return std::exchange(outbox_, {}); }

std::optional<UpnpClient::Exchange> UpnpClient::take_exchange() { return std::exchange(exchange_, std::nullopt); }

void UpnpClient::receive(net::ByteView datagram, const net::Endpoint& from, net::Now now) {
    if (state_ != State::searching || from.address != settings_.gateway) return;
    const auto location = upnp::location_of(datagram);
    if (!location || location->host.address != settings_.gateway) return;
    description_ = *location;
    exchange(State::describing, description_.host, upnp::get(description_), now);
}

void UpnpClient::exchange(State state, const net::Endpoint& to, net::Bytes request, net::Now now) {
    state_ = state;
    next_ = now.steady + (state == State::releasing ? net::Duration(kReleaseWithin) : kAnswerWithin);
    exchange_ = Exchange{++last_id_, to, std::move(request)};
    pieces_ = 0;
}

bool UpnpClient::answered(std::uint64_t id, net::ByteView bytes, bool ended, net::Now now) {
    const bool waits = state_ == State::describing || state_ == State::asking_address || state_ == State::mapping || state_ == State::releasing;
    if (id != last_id_ || !waits) return true;
    bool broken = bytes.size() > kLargestAnswerBytes || ++pieces_ > kMostPieces;
    auto answer = broken ? std::nullopt : upnp::parse_http(bytes, ended, broken);
    if (!answer && !broken && !ended) return false;
    ++last_id_;  // what else comes of it is not for us
    if (answer) {
        heard(*answer, now);
    } else {
        exchange_failed(now);
    }
    return true;
}

void UpnpClient::heard(const upnp::HttpAnswer& answer, net::Now now) {
    switch (state_) {
        case State::idle:
        case State::searching:
        case State::over: return;
        case State::describing:
            if (answer.status == 200) services_ = upnp::services_of(answer.body, description_);
            std::erase_if(services_, [&](const auto& one) { return one.control.host.address != settings_.gateway; });
            if (services_.empty()) return refused("it maps no ports by UPnP", now);
            return ask_address(now);
        case State::asking_address: return heard_address(answer, now);
        case State::mapping: return heard_mapped(answer, now);
        case State::releasing: state_ = State::over; return;
    }
}

void UpnpClient::ask_address(net::Now now) {
    if (state_ == State::idle) {
        began_ = now.steady;
        conflicts_ = 0;
    }
    exchange(State::asking_address, services_.front().control.host, upnp::call(services_.front(), "GetExternalIPAddress", {}), now);
}

void UpnpClient::heard_address(const upnp::HttpAnswer& answer, net::Now now) {
    const auto text = answer.status == 200 ? upnp::element(answer.body, "NewExternalIPAddress") : std::nullopt;
    const auto address = text ? net::IpAddress::parse(*text) : std::nullopt;
    if (!address || address->is_unspecified()) {
        // Of its services only one may be the one that is connected.
        services_.erase(services_.begin());
        if (!services_.empty()) return ask_address(now);
        return refused("its UPnP has no connection", now);
    }
    address_ = *address;
    map(now);
}

void UpnpClient::map(net::Now now) {
    if (external_port_ == 0) external_port_ = settings_.port;
    const auto lease_s = permanent_ ? 0 : std::chrono::seconds(kLease).count();
    asked_for_ = Standing{services_.front(), external_port_};
    exchange(State::mapping, services_.front().control.host,
             upnp::call(services_.front(), "AddPortMapping",
                        {{"NewRemoteHost", ""},
                         {"NewExternalPort", std::to_string(external_port_)},
                         {"NewProtocol", "UDP"},
                         {"NewInternalPort", std::to_string(settings_.port)},
                         {"NewInternalClient", settings_.local.text()},
                         {"NewEnabled", "1"},
                         {"NewPortMappingDescription", "meshd"},
                         {"NewLeaseDuration", std::to_string(lease_s)}}),
             now);
}

void UpnpClient::heard_mapped(const upnp::HttpAnswer& answer, net::Now now) {
    if (answer.status == 200) {
        // One without an end is looked after as often as the others.
        mapping_ = Mapping{{address_, external_port_, 0}, now.steady + kLease};
        standing_ = std::exchange(asked_for_, std::nullopt);
        state_ = State::idle;
        next_ = now.steady + kRenewEvery;
        refusals_ = 0;
        trouble_.clear();
        return;
    }
    asked_for_.reset();
    const auto code = upnp::element(answer.body, "errorCode").value_or("");
    if (code == kOnlyPermanent && !permanent_) {
        permanent_ = true;
        return map(now);
    }
    if ((code == kConflict || code == kSamePort) && conflicts_ < kMostConflicts) {
        ++conflicts_;
        external_port_ = code == kSamePort ? settings_.port
                                           : static_cast<std::uint16_t>(kLeastPort + random_.below(65536 - kLeastPort));
        return map(now);
    }
    refused("its UPnP refuses: " + text_of(answer), now);
}

/// The service may have moved, as a gateway that begins anew takes another port: then it is searched for once more.
void UpnpClient::exchange_failed(net::Now now) {
    const bool knew = state_ != State::describing && mapping_;
    if (state_ == State::releasing) {
        state_ = State::over;
    } else if (knew && !services_.empty() && refusals_ == 0) {
        ++refusals_;
        search(now);
    } else {
        refused("its UPnP does not answer", now);
    }
}

void UpnpClient::refused(std::string why, net::Now now) {
    state_ = State::idle;
    services_.clear();
    trouble_ = std::move(why);
    const auto wait = std::min(kLongestRefusal, kLeastRefusal * (1U << std::min(refusals_, 5U)));
    ++refusals_;
    next_ = now.steady + wait + net::Duration(static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(wait.count() / 10))));
}

void UpnpClient::ask_again(net::Now now) {
    if (state_ != State::idle) return;
    refusals_ = 0;
    next_ = std::min(next_, std::max(now.steady, began_ + kLeastBetween));
}

void UpnpClient::release(net::Now now) {
    if (state_ == State::releasing || state_ == State::over) return;
    outbox_.clear();
    exchange_.reset();
    // What was asked for may stand there, although no answer has come.
    const auto& last = asked_for_ ? asked_for_ : standing_;
    if (!last) {
        state_ = State::over;
        return;
    }
    exchange(State::releasing, last->service.control.host,
             upnp::call(last->service, "DeletePortMapping",
                        {{"NewRemoteHost", ""}, {"NewExternalPort", std::to_string(last->port)}, {"NewProtocol", "UDP"}}),
             now);
}

}  // namespace discovery
