// Streams that are there: accepted connections, datagrams both ways, their ends. How one is dialled is in streams_dial.cpp.
#include "meshd/streams.hpp"

#include <algorithm>
#include <stdexcept>

#include "mesh/introduction.hpp"
#include "mesh/protocol.hpp"
#include "net/wiped.hpp"

namespace meshd {
namespace {

constexpr const char* kAlpn = "http/1.1";
constexpr unsigned kReadsPerTurn = 16;  ///< of 16 kB, of all connections together, in a turn of the loop
constexpr std::size_t kWriteBytes = 16 << 10;  ///< of datagrams in one write: a record of TLS
constexpr auto kSweepEvery = std::chrono::seconds(1);
constexpr auto kUnacknowledged = std::chrono::seconds(20);
constexpr unsigned kMostStrange = 16;
// What the kernel keeps of a connection: unacknowledged, as much as a line of 50 Mbit/s and 60 ms has on its way; unsent, as
// little as keeps it busy. Of voice's less, as there is less.
constexpr int kReceiveBytes = 256 << 10, kBulkSendBytes = 512 << 10, kFirstSendBytes = 128 << 10;
constexpr int kBulkUnsentBytes = 64 << 10, kFirstUnsentBytes = 16 << 10;
constexpr double kAllHandshakesAtOnce = 64, kAllHandshakesPerSecond = 64;

template <class T>
T unwrap(net::Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
}

bool is_handshake(net::ByteView datagram) {
    return mesh::is_introduction(datagram) || std::to_integer<unsigned>(datagram[0]) < static_cast<unsigned>(mesh::MessageType::data);
}

}  // namespace

bool Streams::HandshakeRate::admits(double most, double per_s, net::Steady now) {
    const auto passed = std::chrono::duration<double>(now - at).count();
    left = std::min(most, left + passed * per_s);
    at = now;
    if (left < 1) return false;
    left -= 1;
    return true;
}

Streams::Streams(loop::Loop& loop, Settings settings, Events events, net::Random& random, loop::Resolver& resolver)
    : loop_(loop),
      settings_(std::move(settings)),
      events_(std::move(events)),
      random_(random),
      resolver_(resolver),
      turns_(loop, kReadsPerTurn),
      client_(unwrap(loop::TlsContext::client({false, {}, kAlpn}))),
      sweep_timer_(loop, [this] { sweep(); }) {
    handshakes_ = {kAllHandshakesAtOnce, loop_.now().steady};
    if (settings_.listen.empty()) return;
    // It proves nothing: a new one at each start will do.
    auto own = unwrap(loop::make_self_signed({"localhost"}));
    const net::WipedAtEnd wipe(own.key);
    server_ = unwrap(loop::TlsContext::server(own.certificate, own.key, kAlpn));
    for (const auto& local : settings_.listen) {
        doors_.push_back(std::make_unique<loop::TcpListener>(
            loop_, local, [this](std::unique_ptr<loop::Stream> stream) { accepted(std::move(stream)); },
            limits(Way::accepted, discovery::StreamRole::bulk)));
    }
}

Streams::~Streams() { *alive_ = false; }

loop::Stream::Limits Streams::limits(Way way, discovery::StreamRole role) {
    const bool bulk = role == discovery::StreamRole::bulk;
    loop::Stream::Limits out;
    out.connect_timeout = way == Way::accepted ? settings_.proven_within : settings_.dialled_within;
    out.unacknowledged_timeout = kUnacknowledged;
    out.receive_buffer_bytes = kReceiveBytes;
    out.send_buffer_bytes = bulk ? kBulkSendBytes : kFirstSendBytes;
    out.unsent_bytes = bulk ? kBulkUnsentBytes : kFirstUnsentBytes;
    out.queue_bytes = 2 * (kWriteBytes + discovery::kMaxStreamDatagramBytes);
    out.turns = &turns_;
    return out;
}

std::vector<net::Endpoint> Streams::listens() const {
    std::vector<net::Endpoint> out;
    for (const auto& door : doors_) out.push_back(door->local());
    return out;
}

net::IpAddress Streams::source_of(const net::IpAddress& address) {
    return address.is_v6() ? net::Prefix(address, 64).address() : address;
}

/// Whether one more may come from there; the oldest that has had its chance goes for it.
bool Streams::make_room(const net::IpAddress& source) {
    std::size_t all = 0, of_source = 0, unproven = 0;
    std::optional<ConnectionId> oldest, oldest_of_source;  // ids rise
    for (const auto& [id, other] : connections_) {
        if (other.way != Way::accepted) continue;
        const bool same = source_of(other.remote.address) == source;
        ++all;
        of_source += same ? 1 : 0;
        if (other.due == net::kNever) continue;
        ++unproven;
        if (!oldest) oldest = id;
        if (same && !oldest_of_source) oldest_of_source = id;
    }
    const bool source_full = of_source >= settings_.most_of_one_source;
    if (!source_full && all < settings_.most_connections && unproven < settings_.most_unproven) return true;
    const auto goes = source_full ? oldest_of_source : oldest;
    if (!goes || connections_.at(*goes).due - settings_.proven_within + settings_.room_after > loop_.now().steady) return false;
    ++counters_.displaced;
    drop(*goes, "it made room for another");
    return true;
}

void Streams::accepted(std::unique_ptr<loop::Stream> stream) {
    const auto remote = stream->remote();
    const auto displaced = counters_.displaced;
    if (!make_room(source_of(remote.address))) {
        ++counters_.refused;
        return;
    }
    if (counters_.displaced != displaced) settled();
    const auto id = next_connection_++;
    auto& connection = connections_[id];
    connection.remote = remote;
    connection.due = loop_.now().steady + settings_.proven_within;
    connection.stream = std::move(stream);
    connection.stream->secure(std::make_unique<loop::TlsSession>(server_));
    connection.stream->start(events_of(id));
    sweep_later();
}

loop::Stream::Events Streams::events_of(ConnectionId id) {
    return {[this, id] { connected(id); }, [this, id](net::ByteView bytes) { received(id, bytes); },
            [this, id](const loop::Closed& why) { closed(id, why); },
            [this, id] {
                if (const auto found = connections_.find(id); found != connections_.end()) pump(found->second);
            }};
}

void Streams::connected(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    auto& connection = found->second;
    switch (connection.stage) {
        case Stage::connecting: return ask_proxy(connection);
        case Stage::securing:
            connection.stage = Stage::open;
            if (connection.way != Way::accepted) dialled(id);
            return;
        case Stage::resolving:
        case Stage::asking:
        case Stage::open: return;
    }
}

void Streams::received(ConnectionId id, net::ByteView bytes) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    if (found->second.stage == Stage::asking) return proxy_answered(id, bytes);
    if (found->second.stage != Stage::open) return;
    found->second.framer.feed(bytes);
    receive_datagrams(id);
    settled();
}

void Streams::receive_datagrams(ConnectionId id) {
    // Whoever is told of a datagram may close the stream, so all is looked up anew each time.
    for (;;) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) return;
        auto& connection = found->second;
        if (const auto preamble = connection.framer.preamble(); preamble && !attach(id, *preamble)) {
            ++counters_.broken;
            return drop(id, "it names another's stream");
        }
        const auto datagram = connection.framer.next();
        if (!datagram) {
            if (connection.framer.state() == discovery::DatagramFramer::State::open) return;
            ++counters_.broken;
            return drop(id, "what came were no datagrams");
        }
        const auto pair = pairs_.find(connection.pair);
        if (pair == pairs_.end() || !receive(pair->second, pair->first, *datagram)) return;
    }
}

bool Streams::attach(ConnectionId id, const discovery::StreamPreamble& preamble) {
    const auto now = loop_.now().steady;
    auto [known, is_new] = by_pair_id_.try_emplace(preamble.pair, next_stream_);
    if (is_new) ++next_stream_;
    auto& pair = pairs_[known->second];
    if (!is_new && pair.ours) return false;
    auto& connection = connections_.at(id);
    if (is_new) {
        pair.id = preamble.pair;
        pair.remote = connection.remote;
        pair.heard = now;
        pair.handshakes = {kHandshakesAtOnce, now};
    }
    connection.role = preamble.role;
    connection.pair = known->second;
    if (pair.proven) connection.due = net::kNever;  // who knows the pair's id is who opened it
    auto& place = preamble.role == discovery::StreamRole::bulk ? pair.bulk : pair.first;
    if (place != 0) forget(place);  // dialled anew, before we know that it was lost
    place = id;
    return true;
}

bool Streams::receive(Pair& pair, mesh::StreamId id, net::MutableBytes datagram) {
    const auto now = loop_.now().steady;
    if (events_.is_for_us && !events_.is_for_us(datagram)) {
        ++counters_.not_for_us;
        if (pair.told || ++pair.strange < kMostStrange) return true;
        ++counters_.strangers;
        close_pair(id, "nothing of it is for us");
        return false;
    }
    if (is_handshake(datagram) && (!pair.handshakes.admits(kHandshakesAtOnce, kHandshakesPerSecond, now) ||
                                   !handshakes_.admits(kAllHandshakesAtOnce, kAllHandshakesPerSecond, now))) {
        ++counters_.handshakes_over_rate;
        return true;
    }
    pair.heard = now;
    if (!pair.told) {
        pair.told = true;
        events_.opened(id, pair.remote);
        if (!pairs_.contains(id)) return false;
    }
    events_.datagram(id, datagram);
    return pairs_.contains(id);
}

void Streams::closed(ConnectionId id, const loop::Closed& why) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    const auto& connection = found->second;
    if (connection.way != Way::accepted && connection.stage != Stage::open) return dial_failed(id, why.text);
    if (connection.stage == Stage::securing) ++counters_.tls_failed;
    drop(id, why.text);
    settled();
}

void Streams::drop(ConnectionId id, const std::string& why) {
    const auto& connection = connections_.at(id);
    const auto found = pairs_.find(connection.pair);
    if (found == pairs_.end()) return forget(id);
    auto& pair = found->second;
    if (connection.role == discovery::StreamRole::first || pair.first == 0) return close_pair(found->first, why);
    forget(id);
    if (!pair.ours) return;  // bulk goes by the first until it is dialled anew
    pair.bulk_at = loop_.now().steady + pair.bulk_wait;
    sweep_later();
}

void Streams::forget(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    counters_.dropped_bulk += found->second.queue.dropped_bulk();
    counters_.dropped_urgent += found->second.queue.dropped_urgent();
    if (const auto pair = pairs_.find(found->second.pair); pair != pairs_.end()) {
        for (auto* const place : {&pair->second.first, &pair->second.bulk}) {
            if (*place == id) *place = 0;
        }
    }
    connections_.erase(found);
}

void Streams::close_pair(mesh::StreamId id, std::string why, bool tell) {  // by value: it may be the pair's own
    const auto found = pairs_.find(id);
    if (found == pairs_.end()) return;
    const auto pair = std::move(found->second);
    forget(pair.first);
    forget(pair.bulk);
    by_pair_id_.erase(pair.id);
    pairs_.erase(found);
    if (tell && (pair.ours || pair.told)) events_.closed(id, why);
}

void Streams::proven(mesh::StreamId id) {
    const auto found = pairs_.find(id);
    if (found == pairs_.end() || found->second.ours) return;
    found->second.proven = true;
    for (const auto connection : {found->second.first, found->second.bulk}) {
        if (connection != 0) connections_.at(connection).due = net::kNever;
    }
}

void Streams::close(mesh::StreamId id) { close_pair(id, {}, false); }

bool Streams::send(mesh::StreamId id, net::ByteView datagram, bool bulk) {
    if (datagram.size() > discovery::kMaxStreamDatagramBytes) return false;
    const auto found = pairs_.find(id);
    if (found == pairs_.end() || datagram.size() < discovery::kMinStreamDatagramBytes) return true;
    const auto& pair = found->second;
    const auto is_open = [&](ConnectionId one) { return one != 0 && connections_.at(one).stage == Stage::open; };
    // Where one of the two is missing the other does for it.
    auto by = bulk ? pair.bulk : pair.first;
    if (!is_open(by)) by = bulk ? pair.first : pair.bulk;
    if (!is_open(by)) return true;
    auto& connection = connections_.at(by);
    connection.queue.push(datagram, bulk, loop_.now().steady);
    connection.queue.bytes() < kWriteBytes ? pump_later(by) : pump(connection);
    return true;
}

void Streams::pump(Connection& connection) {
    if (connection.stage != Stage::open) return;
    // More than the kernel takes now would only wait where nothing can be dropped any more.
    while (connection.stream->queued_bytes() == 0) {
        const auto bytes = connection.queue.take(kWriteBytes, loop_.now().steady);
        if (bytes.empty() || !connection.stream->write(bytes)) return;
    }
}

void Streams::pump_later(ConnectionId id) {
    if (to_pump_.empty()) {
        loop_.defer([this, alive = alive_] {
            if (*alive) flush();
        });
    }
    to_pump_.insert(id);
}

void Streams::flush() {
    for (const auto one : std::exchange(to_pump_, {})) {
        if (const auto found = connections_.find(one); found != connections_.end()) pump(found->second);
    }
}

void Streams::sweep_later() {
    if (sweep_timer_.deadline() == net::kNever) sweep_timer_.after(std::min<net::Duration>(kSweepEvery, settings_.proven_within));
}

void Streams::sweep() {
    const auto now = loop_.now().steady;
    std::vector<ConnectionId> late;
    for (const auto& [id, connection] : connections_) {
        if (connection.due <= now) late.push_back(id);
    }
    for (const auto id : late) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) continue;
        if (found->second.way != Way::accepted) {
            dial_failed(id, "no answer");
            continue;
        }
        ++(found->second.stage == Stage::open ? counters_.strangers : counters_.tls_failed);
        drop(id, "no session came by it");
    }
    std::vector<mesh::StreamId> idle, without_bulk;
    for (auto& [id, pair] : pairs_) {
        if (pair.told && now - pair.heard >= settings_.idle) {
            idle.push_back(id);
        } else if (pair.bulk_at <= now) {
            pair.bulk_at = net::kNever;
            without_bulk.push_back(id);
        }
    }
    for (const auto id : idle) {
        ++counters_.idle;
        close_pair(id, "nothing has come for long");
    }
    for (const auto id : without_bulk) begin(id, discovery::StreamRole::bulk, pairs_.at(id).way);
    if (!late.empty() || !idle.empty()) settled();
    if (!connections_.empty() || !pairs_.empty()) sweep_later();
}

Streams::Counters Streams::counters() const {
    auto out = counters_;
    for (const auto& [_, connection] : connections_) {
        out.dropped_bulk += connection.queue.dropped_bulk();
        out.dropped_urgent += connection.queue.dropped_urgent();
    }
    return out;
}

bool Streams::is_open(mesh::StreamId id) const {
    const auto found = pairs_.find(id);
    return found != pairs_.end() && found->second.told;
}

bool Streams::is_proxied(mesh::StreamId id) const { return is_open(id) && pairs_.at(id).way == Way::proxied; }

}  // namespace meshd
