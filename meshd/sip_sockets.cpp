#include "meshd/sip_sockets.hpp"

#include <algorithm>
#include <stdexcept>

#include "meshd/config.hpp"

namespace meshd {
namespace {

constexpr std::uint8_t kDscpSignalling = 24;  // CS3, RFC 4594 section 4.1 as phones and carriers use it for SIP
constexpr std::size_t kReceiveBufferBytes = 4 << 20;  // all phones of an office register in the same second
constexpr auto kSweepEvery = std::chrono::seconds(4);
constexpr auto kLookForSilentEvery = std::chrono::seconds(1);  // however many ask in vain: it takes a look at all

voice::FlowFailure failure(loop::Closed::Reason reason) {
    switch (reason) {
        case loop::Closed::Reason::by_peer:
        case loop::Closed::Reason::by_us: return voice::FlowFailure::closed;
        case loop::Closed::Reason::refused: return voice::FlowFailure::refused;
        case loop::Closed::Reason::timed_out: return voice::FlowFailure::unanswered;
        case loop::Closed::Reason::unreachable: return voice::FlowFailure::unreachable;
        case loop::Closed::Reason::insecure: return voice::FlowFailure::insecure;
        case loop::Closed::Reason::reset:
        case loop::Closed::Reason::failed: return voice::FlowFailure::reset;
    }
    return voice::FlowFailure::reset;
}

const net::IpAddress kAnyV4 = net::IpAddress::v4(0);
const net::IpAddress kAnyV6 = *net::IpAddress::parse("::");

}  // namespace

SipSockets::SipSockets(loop::Loop& loop, std::uint16_t port, Events events, net::Duration idle, net::Duration handshake_within)
    : loop_(loop),
      port_(port),
      events_(std::move(events)),
      idle_(idle),
      turns_(loop, kReadsPerTurn),
      look_timer_(loop, [this] { look_at_queues(); }),
      sweep_timer_(loop, [this] { sweep(); }) {
    limits_.receive_buffer_bytes = kUnreadBytes;
    limits_.turns = &turns_;
    limits_.queue_bytes = kUnsentBytes;
    limits_.unacknowledged_timeout = std::chrono::seconds(32);  // a far end that takes nothing is as good as none
    limits_of_accepted_ = limits_;
    limits_of_accepted_.connect_timeout = handshake_within;
    doors_.push_back(open({kAnyV4, port_}, voice::Side::phone));
    try {
        doors_.push_back(open({kAnyV6, port_}, voice::Side::phone));
    } catch (const std::runtime_error&) {
        // A machine without IPv6 has phones all the same.
    }
}

SipSockets::~SipSockets() { *alive_ = false; }

std::unique_ptr<SipSockets::Door> SipSockets::open(const net::Endpoint& local, voice::Side side) {
    auto door = std::make_unique<Door>();
    loop::UdpOptions options;
    options.dscp = kDscpSignalling;
    options.receive_buffer_bytes = kReceiveBufferBytes;
    door->udp = std::make_unique<loop::UdpSocket>(
        loop_, local,
        loop::UdpSocket::Events{
            [this, port = local.port, side](const loop::Received& datagram) {
                // A machine takes what is for any address of its own by every device: a neighbour on the LAN might
                // write a member's address as his own.
                if (side == voice::Side::mesh && device_ != 0 && datagram.interface != device_) {
                    ++counters_.beside_device;
                    return;
                }
                look_at_queues();
                events_.message({voice::Transport::udp, {datagram.to, port}, datagram.from, 0, side}, datagram.bytes);
            },
            [this, local, side](const loop::Undelivered& news) {
                if (news.reason == loop::Undelivered::Reason::too_big) return;  // the kernel sends it in pieces next time
                tell_failed({voice::Transport::udp, local, news.to, 0, side}, voice::FlowFailure::unreachable);
            }},
        options);
    door->tcp = std::make_unique<loop::TcpListener>(
        loop_, local,
        [this, side](std::unique_ptr<loop::Stream> stream) { accepted(std::move(stream), side, voice::Transport::tcp); },
        limits_of_accepted_);
    return door;
}

void SipSockets::look_at_queues() {
    if (!overload_.look_due(loop_.now())) return;
    auto fullest = static_cast<unsigned>(std::min<std::size_t>(unread_bytes(), kMuchUnreadBytes) * 100 / kMuchUnreadBytes);
    const auto look = [&](const Door& door) {
        fullest = std::max({fullest, door.udp->socket().receive_queue_percent(), door.tcp->backlog_percent()});
    };
    for (const auto& door : doors_) look(*door);
    for (const auto& [address, door] : overlay_) look(*door);
    for (const auto& door : tls_doors_) fullest = std::max(fullest, door->backlog_percent());
    const bool was = overload_.is_overloaded();
    overload_.looked(fullest, loop_.now());
    look_timer_.at(overload_.look_by());
    if (overload_.is_overloaded() != was && events_.overloaded) events_.overloaded(!was);
}

std::size_t SipSockets::unread_bytes() const {
    std::size_t out = 0;
    if (turns_.waiting() == 0) return out;
    std::map<net::IpAddress, std::size_t> of_one;
    for (const auto& [id, connection] : connections_) {
        // What comes in place of a handshake is nobody's message: it takes its turns, and none is refused for its sake. What
        // comes behind a broken message is not read at all.
        if (connection.shaking_hands || connection.given_up) continue;
        // One address alone fills its own queues and delays nobody: turns are fair.
        auto& sum = of_one[connection.flow.remote.address];
        sum = std::min(sum + connection.stream->unread_bytes(), kMostOfOneAddressBytes);
    }
    for (const auto& [address, bytes] : of_one) out += bytes;
    return out;
}

void SipSockets::set_overlay(const std::vector<net::IpAddress>& addresses, std::uint32_t device) {
    device_ = device;
    std::erase_if(overlay_, [&](const auto& open) {
        return std::find(addresses.begin(), addresses.end(), open.first) == addresses.end();
    });
    for (const auto& address : addresses) {
        if (!overlay_.contains(address)) overlay_[address] = open({address, kOverlaySipPort}, voice::Side::mesh);
    }
}

void SipSockets::listen_tls(std::uint16_t port, std::function<std::shared_ptr<const loop::TlsContext>()> context) {
    tls_context_ = std::move(context);
    const auto take = [this](std::unique_ptr<loop::Stream> stream) {
        accepted(std::move(stream), voice::Side::phone, voice::Transport::tls);
    };
    tls_doors_.push_back(std::make_unique<loop::TcpListener>(loop_, net::Endpoint{kAnyV4, port}, take, limits_of_accepted_));
    if (doors_.size() < 2) return;
    tls_doors_.push_back(std::make_unique<loop::TcpListener>(loop_, net::Endpoint{kAnyV6, port}, take, limits_of_accepted_));
}

void SipSockets::set_tls_centre(std::shared_ptr<const loop::TlsContext> context, std::string name) {
    tls_centre_ = std::move(context);
    tls_centre_name_ = std::move(name);
}

void SipSockets::accepted(std::unique_ptr<loop::Stream> stream, voice::Side side, voice::Transport transport) {
    const auto remote = stream->remote();
    voice::Flow flow{transport, stream->local(), remote, 0, side};
    const bool tls = transport == voice::Transport::tls;
    look_at_queues();
    // Before any room is given away: all of it may be had from eight addresses otherwise.
    if (events_.welcome && !events_.welcome(flow)) {
        ++counters_.stranger_connections;
        return;
    }
    const auto known = connections_of_.find(remote.address);
    const auto has = known != connections_of_.end() ? known->second : OfOneAddress{};
    const auto may = allowance(remote.address);
    const bool shakes_enough = tls && (handshakes_ >= kMaxHandshakes || has.handshakes >= may.handshakes);
    if (shakes_enough || !make_room(remote.address, may.connections)) {
        ++counters_.refused_connections;
        if (shakes_enough) ++counters_.refused_handshakes;
        return;
    }
    ++connections_of_[remote.address].connections;
    const auto id = next_connection_++;
    auto& connection = connections_[id];
    flow.connection = id;
    connection.flow = flow;
    connection.used = loop_.now().steady;
    connection.first_message_by = connection.used + kFirstMessageWithin;
    connection.stream = std::move(stream);
    if (tls) {
        begin_handshake(connection);
        connection.stream->secure(std::make_unique<loop::TlsSession>(tls_context_()));
    }
    by_remote_[{remote, side, transport}] = id;
    sweep_by(connection.first_message_by);
    connection.stream->start(events_of(id));
}

SipSockets::Allowance SipSockets::allowance(const net::IpAddress& address) const {
    const auto phones = events_.phones_at ? events_.phones_at(address) : 0;
    return {std::min(kMaxOfOneAddress + kOfOnePhone * phones, kMaxConnections - kConnectionsLeft),
            std::min(kMaxHandshakesOfOneAddress + phones, kMaxHandshakes - kHandshakesLeft)};
}

bool SipSockets::make_room(const net::IpAddress& address, std::size_t most_of_it) {
    const auto known = connections_of_.find(address);
    const bool it_has_enough = known != connections_of_.end() && known->second.connections >= most_of_it;
    if (!it_has_enough && connections_.size() < kMaxConnections) return true;
    const auto now = loop_.now().steady;
    // An address that fills its own room keeps nobody else out of his.
    auto& no_room_until = it_has_enough ? known->second.no_room_until : no_room_until_;
    if (now < no_room_until) return false;
    const Connection* silent = nullptr;
    for (const auto& [id, connection] : connections_) {
        if (connection.ours || connection.given_up || (it_has_enough && connection.flow.remote.address != address)) continue;
        if (connection.used + idle_ <= now && (silent == nullptr || connection.used < silent->used)) silent = &connection;
    }
    if (silent == nullptr) {
        no_room_until = now + std::min<net::Duration>(kLookForSilentEvery, idle_);
        return false;
    }
    ++counters_.idle_connections;
    close(silent->flow.connection, voice::FlowFailure::closed);
    return true;
}

loop::Stream::Events SipSockets::events_of(std::uint64_t id) {
    return {[this, id] { secured(id); }, [this, id](net::ByteView bytes) { received(id, bytes); },
            [this, id](const loop::Closed& why) { closed(id, why); }, nullptr};
}

void SipSockets::secured(std::uint64_t id) {
    const auto found = connections_.find(id);
    if (found != connections_.end()) end_handshake(found->second);
}

void SipSockets::begin_handshake(Connection& connection) {
    connection.shaking_hands = true;
    ++handshakes_;
    ++connections_of_[connection.flow.remote.address].handshakes;
}

void SipSockets::end_handshake(Connection& connection) {
    if (!connection.shaking_hands) return;
    connection.shaking_hands = false;
    --handshakes_;
    const auto of = connections_of_.find(connection.flow.remote.address);
    if (of != connections_of_.end()) --of->second.handshakes;
}

void SipSockets::closed(std::uint64_t id, const loop::Closed& why) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    const bool late = found->second.shaking_hands && why.reason == loop::Closed::Reason::timed_out;
    if (why.reason == loop::Closed::Reason::insecure || late) {
        ++counters_.tls_failed;
        if (late) ++counters_.tls_half_open;
        tls_trouble_ = found->second.flow.remote.text() + ": " + why.text;
    }
    close(id, failure(why.reason));
}

void SipSockets::received(std::uint64_t id, net::ByteView bytes) {
    const auto now = loop_.now();
    look_at_queues();
    const auto feed = connections_.find(id);
    if (feed == connections_.end()) return;
    feed->second.used = now.steady;
    feed->second.framer.feed(bytes, now);
    // A message may close the connection that it came by, so it is looked up anew each time.
    for (;;) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) return;
        auto& connection = found->second;
        const auto message = connection.framer.next(now);
        answer_pings(connection);
        if (!message) break;
        connection.first_message_by = net::kNever;
        const auto flow = connection.flow;
        events_.message(flow, *message);
    }
    const auto fed = connections_.find(id);
    if (fed == connections_.end()) return;
    if (fed->second.framer.state() == voice::StreamFramer::State::broken) {
        give_up(id);
    } else {
        sweep_by(due(fed->second));
    }
}

void SipSockets::give_up(std::uint64_t id) {
    ++counters_.broken_streams;
    auto& connection = connections_.at(id);
    const auto answer = voice::answer_to_broken(connection.framer);
    if (answer.empty() || !connection.stream->write(answer)) return close(id, voice::FlowFailure::closed);
    connection.given_up = true;
    connection.stream->close_when_drained();
    // Whoever is called at the same address meanwhile is called by a new one.
    const auto& flow = connection.flow;
    forget_remote(flow, id);
    tell_failed(flow, voice::FlowFailure::closed);
}

void SipSockets::close(std::uint64_t id, voice::FlowFailure why) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    const auto flow = found->second.flow;
    const bool told = found->second.given_up;
    end_handshake(found->second);
    connections_.erase(found);
    if (const auto count = connections_of_.find(flow.remote.address); count != connections_of_.end()) {
        if (--count->second.connections == 0) connections_of_.erase(count);
    }
    forget_remote(flow, id);
    if (!told) tell_failed(flow, why);
}

void SipSockets::forget_remote(const voice::Flow& flow, std::uint64_t id) {
    const auto remote = by_remote_.find({flow.remote, flow.side, flow.transport});
    if (remote != by_remote_.end() && remote->second == id) by_remote_.erase(remote);
}

void SipSockets::tell_failed(const voice::Flow& flow, voice::FlowFailure why) {
    loop_.defer([this, alive = alive_, flow, why] {
        if (*alive) events_.failed(flow, why);
    });
}

/// All at once: one read may have thousands. Who takes no answers is told no more of them.
void SipSockets::answer_pings(Connection& connection) {
    std::string pongs;
    for (auto pings = connection.framer.take_pings(); pings > 0; --pings) pongs += voice::StreamFramer::kPong;
    if (!pongs.empty()) connection.stream->write(net::as_bytes(pongs));
}

net::Steady SipSockets::due(const Connection& connection) const {
    const auto idle = connection.ours ? connection.used + idle_ : net::kNever;
    return std::min({connection.first_message_by, connection.framer.deadline(), idle});
}

void SipSockets::sweep_by(net::Steady at) {
    // All at once and not one by one: many have their time at nearly the same.
    if (at == net::kNever) return;
    const auto wait = std::max<net::Duration>(at - loop_.now().steady, std::min<net::Duration>(kSweepEvery, idle_));
    if (sweep_timer_.deadline() > loop_.now().steady + wait) sweep_timer_.after(wait);
}

void SipSockets::sweep() {
    const auto now = loop_.now();
    std::vector<std::pair<std::uint64_t, bool>> over;  // and whether it was only idle
    auto next = net::kNever;
    for (auto& [id, connection] : connections_) {
        if (connection.given_up) continue;
        const bool late = connection.first_message_by <= now.steady;
        if (late || connection.framer.deadline() <= now.steady) connection.framer.expire(now, late);
        const bool broken = late || connection.framer.state() == voice::StreamFramer::State::broken;
        if (broken || due(connection) <= now.steady) {
            over.emplace_back(id, !broken);
        } else {
            next = std::min(next, due(connection));
        }
    }
    for (const auto& [id, idle] : over) {
        if (!idle) {
            give_up(id);
            continue;
        }
        ++counters_.idle_connections;
        close(id, voice::FlowFailure::closed);
    }
    sweep_by(next);
}

}  // namespace meshd
