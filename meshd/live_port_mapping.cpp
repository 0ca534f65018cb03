#include "meshd/live_port_mapping.hpp"

#include <algorithm>
#include <spdlog/spdlog.h>

#include "loop/interfaces.hpp"

namespace meshd {
namespace {

// An IPv6 address cannot be sent from in its first seconds, and nobody tells when it can.
constexpr unsigned kTries = 4;
constexpr net::Duration kTryAgain = std::chrono::seconds(2);
constexpr std::size_t kLargestAnswerBytes = discovery::pcp::kLargestBytes + 1;
constexpr std::size_t kMostDropped = 8;  // however often the gateways change in a second

/// Ours, that a gateway must see requests come from: towards a link-local gateway, the one that goes out beyond it. None if
/// nothing from out there could ever come to it.
net::IpAddress local_toward(const net::IpAddress& gateway) {
    if (gateway.is_v4()) return loop::local_address_toward(gateway);
    const auto local = loop::local_address_toward(*net::IpAddress::parse("2000::1"));
    return local.is_private() ? net::IpAddress() : local;
}

}  // namespace

struct LivePortMapping::Asked {
    net::Endpoint gateway;
    net::IpAddress local;
    discovery::PortMapping mapping;
    std::unique_ptr<loop::UdpSocket> socket;
    std::string told = {};  ///< in the log
    std::uint64_t exchange = 0;  ///< that the stream is for
    std::unique_ptr<loop::Stream> stream = nullptr;
    net::Bytes answer = {};      ///< as far as it has come
};

LivePortMapping::LivePortMapping(loop::Loop& loop, net::Random& random, std::uint16_t port, net::Bytes secret,
                                 std::function<void(std::vector<net::Endpoint>)> changed)
    : loop_(loop), random_(random), port_(port), secret_(std::move(secret)), changed_(std::move(changed)), timer_(loop, [this] { pump(); }) {}

LivePortMapping::~LivePortMapping() = default;

/// A gateway that has begun anew says so there. Where another program has the port, the next renewal finds it out.
void LivePortMapping::listen_for_announcements(const net::IpAddress& family) {
    for (const auto& socket : announcements_) {
        if (socket->local().address.bits() == family.bits()) return;
    }
    const auto any = *net::IpAddress::parse(family.is_v6() ? "::" : "0.0.0.0");
    loop::UdpOptions options;
    options.reuse_port = true;
    auto socket = loop::Datagram::open({any, discovery::pcp::kClientPort, 0}, options);
    if (!socket) {
        spdlog::debug("port mapping: {}", socket.error().message);
        return;
    }
    announcements_.push_back(std::make_unique<loop::UdpSocket>(
        loop_, std::move(*socket), loop::UdpSocket::Events{[this](const loop::Received& datagram) { announced(datagram); }, {}},
        kLargestAnswerBytes));
}

void LivePortMapping::ask(const net::Endpoint& gateway, const net::IpAddress& local) {
    auto socket = loop::Datagram::open({local, 0, 0});
    if (!socket) {
        spdlog::debug("port mapping: {}", socket.error().message);
        return;
    }
    auto asked = std::make_unique<Asked>(
        Asked{gateway, local, discovery::PortMapping({gateway, local, port_, secret_}, random_, loop_.now()), nullptr});
    asked->socket = std::make_unique<loop::UdpSocket>(
        loop_, std::move(*socket),
        loop::UdpSocket::Events{[this, mapping = &asked->mapping](const loop::Received& datagram) {
                                    mapping->receive(datagram.bytes, datagram.from, loop_.now());
                                    pump();
                                },
                                [this, mapping = &asked->mapping](const loop::Undelivered& what) {
                                    if (what.reason != loop::Undelivered::Reason::port_unreachable) return;
                                    mapping->unreachable(what.to, loop_.now());
                                    pump();
                                }},
        kLargestAnswerBytes);
    listen_for_announcements(gateway.address);
    asked_.push_back(std::move(asked));
}

void LivePortMapping::set_gateways(const std::vector<net::Endpoint>& gateways) {
    if (released_) return;
    for (const auto& one : asked_) one->mapping.network_changed(loop_.now());
    gateways_ = gateways;
    tries_ = 0;
    follow_gateways();
}

void LivePortMapping::follow_gateways() {
    std::vector<std::pair<net::Endpoint, net::IpAddress>> wanted;
    for (const auto& gateway : gateways_) {
        if (const auto local = local_toward(gateway.address); !local.is_none()) wanted.emplace_back(gateway, local);
    }
    const auto is_wanted = [&](const auto& one) { return std::ranges::count(wanted, std::pair(one->gateway, one->local)) > 0; };
    const auto gone = std::stable_partition(asked_.begin(), asked_.end(), is_wanted);
    for (auto one = gone; one != asked_.end(); ++one) drop(std::move(*one));
    asked_.erase(gone, asked_.end());
    // What is wanted again must not be deleted behind the new request for it.
    std::erase_if(dropped_, is_wanted);
    for (const auto& pair : wanted) {
        const auto is_it = [&](const auto& one) { return std::pair(one->gateway, one->local) == pair; };
        if (std::ranges::none_of(asked_, is_it)) ask(pair.first, pair.second);
    }
    const bool all = asked_.size() == gateways_.size();
    try_again_ = all || ++tries_ == kTries ? net::kNever : loop_.now().steady + kTryAgain;
    pump();
}

/// It may still be reached, and is told that the mapping is not needed any more.
void LivePortMapping::drop(std::unique_ptr<Asked> asked) {
    asked->mapping.release(loop_.now());
    if (asked->mapping.released()) return;
    if (dropped_.size() == kMostDropped) dropped_.erase(dropped_.begin());
    dropped_.push_back(std::move(asked));
}

void LivePortMapping::announced(const loop::Received& datagram) {
    for (const auto& one : asked_) one->mapping.announced(datagram.bytes, datagram.from, loop_.now());
    pump();
}

void LivePortMapping::send(Asked& asked) {
    for (const auto& datagram : asked.mapping.take_datagrams()) (void)asked.socket->send(datagram.to, datagram.bytes);
    const auto exchange = asked.mapping.take_exchange();
    if (!exchange) return;
    asked.exchange = exchange->id;
    asked.answer.clear();
    loop::Stream::Events events;
    events.received = [this, &asked](net::ByteView bytes) { heard(asked, bytes, false); };
    events.closed = [this, &asked](const loop::Closed&) { heard(asked, {}, true); };
    asked.stream = loop::Stream::connect_tcp(loop_, exchange->to, std::move(events), {}, asked.local);
    (void)asked.stream->write(exchange->request);
}

void LivePortMapping::heard(Asked& asked, net::ByteView bytes, bool ended) {
    const auto room = discovery::UpnpClient::kLargestAnswerBytes + 1 - asked.answer.size();
    bytes = bytes.first(std::min(bytes.size(), room));
    asked.answer.insert(asked.answer.end(), bytes.begin(), bytes.end());
    if (asked.mapping.answered(asked.exchange, asked.answer, ended, loop_.now()) && asked.stream) asked.stream->close();
    pump();
}

void LivePortMapping::pump() {
    if (try_again_ <= loop_.now().steady && !released_) return follow_gateways();
    auto deadline = released_ ? net::kNever : try_again_;
    std::vector<net::Endpoint> endpoints;
    bool all_released = true;
    for (const auto& one : asked_) {
        one->mapping.tick(loop_.now());
        send(*one);
        tell(*one);
        all_released &= one->mapping.released();
        deadline = std::min(deadline, one->mapping.next_deadline());
        const auto external = one->mapping.external();
        if (external && std::ranges::count(endpoints, *external) == 0) endpoints.push_back(*external);
    }
    for (const auto& one : dropped_) {
        one->mapping.tick(loop_.now());
        send(*one);
        deadline = std::min(deadline, one->mapping.next_deadline());
    }
    timer_.at(deadline);
    std::erase_if(dropped_, [](const auto& one) { return one->mapping.released(); });
    if (released_) {
        if (all_released && dropped_.empty()) std::exchange(released_, nullptr)();
    } else if (endpoints != told_) {
        told_ = endpoints;
        changed_(std::move(endpoints));
    }
}

void LivePortMapping::tell(Asked& asked) {
    const auto report = asked.mapping.report(loop_.now());
    auto text = report.external ? "port mapping: " + report.external->text() + " by " + report.method : std::string();
    if (!report.trouble.empty()) text += (text.empty() ? "port mapping: " : ", but ") + report.trouble;
    if (text.empty() || text == asked.told) return;
    asked.told = text;
    spdlog::log(report.published ? spdlog::level::info : spdlog::level::debug, "{}", text);
}

void LivePortMapping::release(std::function<void()> done) {
    // Only what holds a mapping is waited for.
    released_ = std::move(done);
    for (const auto& one : asked_) one->mapping.release(loop_.now());
    pump();
}

std::vector<discovery::MappingReport> LivePortMapping::reports() const {
    std::vector<discovery::MappingReport> out;
    for (const auto& one : asked_) out.push_back(one->mapping.report(loop_.now()));
    return out;
}

}  // namespace meshd
