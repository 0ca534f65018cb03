// How a stream is dialled: straight, or through an HTTP proxy (RFC 9110 section 9.3.6).
#include <algorithm>

#include "meshd/streams.hpp"
#include "net/wiped.hpp"

namespace meshd {
namespace {

constexpr net::Duration kBulkAgain = std::chrono::seconds(1), kBulkAgainAtMost = std::chrono::minutes(1);

}  // namespace

mesh::StreamId Streams::dial(const net::Endpoint& to) {
    std::size_t dialled = 0;
    for (const auto& [id, pair] : pairs_) {
        if (!pair.ours) continue;
        if (pair.remote == to) return id;
        ++dialled;
    }
    const auto id = next_stream_++;
    auto& pair = pairs_[id];
    random_.fill(pair.id);
    by_pair_id_[pair.id] = id;
    pair.ours = true;
    pair.remote = to;
    pair.heard = loop_.now().steady;
    pair.handshakes = {kHandshakesAtOnce, pair.heard};
    pair.bulk_wait = kBulkAgain;
    pair.ways = {Way::direct};
    if (settings_.proxy) pair.ways.insert(prefers_proxy_ ? pair.ways.end() : pair.ways.begin(), Way::proxied);
    if (dialled >= kMostDialled) {
        pair.why = "too many others are dialled";
        pair.ways.clear();
    }
    loop_.defer([this, alive = alive_, id] {
        if (!*alive || !pairs_.contains(id)) return;
        auto& begun = pairs_.at(id);
        if (begun.ways.empty()) {
            ++counters_.dials_failed;
            close_pair(id, begun.why);
            return settled();
        }
        const auto way = begun.ways.back();
        begun.ways.pop_back();
        begin(id, discovery::StreamRole::first, way);
    });
    return id;
}

void Streams::begin(mesh::StreamId pair_id, discovery::StreamRole role, Way way) {
    auto& pair = pairs_.at(pair_id);
    const auto id = next_connection_++;
    (role == discovery::StreamRole::first ? pair.first : pair.bulk) = id;
    auto& connection = connections_[id];
    connection.way = way;
    connection.role = role;
    connection.pair = pair_id;
    connection.remote = pair.remote;
    connection.framer = discovery::DatagramFramer(false);
    // TCP and TLS have their own times; the proxy has one more to answer in.
    connection.due = loop_.now().steady + (way == Way::proxied ? settings_.proxied_within : 2 * settings_.dialled_within);
    sweep_later();
    if (way == Way::direct) return connect(id, pair.remote);
    connection.stage = Stage::resolving;
    const auto& at = settings_.proxy->at;
    if (const auto address = net::IpAddress::parse(at.host)) return connect(id, {*address, at.port});
    resolver_.resolve(at.host, [this, alive = alive_, id](const net::Result<loop::Addresses>& answer) {
        if (!*alive || !connections_.contains(id)) return;
        if (!answer) return dial_failed(id, settings_.proxy->at.host + ": " + answer.error().message);
        connect(id, {answer->addresses.front(), settings_.proxy->at.port});
    });
}

void Streams::connect(ConnectionId id, const net::Endpoint& to) {
    auto& connection = connections_.at(id);
    const bool straight = connection.way == Way::direct;
    connection.stage = straight ? Stage::securing : Stage::connecting;
    if (events_.may_dial && !events_.may_dial(to.address)) {
        loop_.defer([this, alive = alive_, id] {
            if (*alive && connections_.contains(id)) dial_failed(id, "its address is inside the mesh");
        });
        return;
    }
    connection.stream = loop::Stream::connect_tcp(loop_, to, events_of(id), limits(connection.way, connection.role));
    if (straight) connection.stream->secure(std::make_unique<loop::TlsSession>(client_, settings_.server_name));
}

void Streams::ask_proxy(Connection& connection) {
    const auto target = connection.remote.text();
    const auto& proxy = *settings_.proxy;
    connection.stage = Stage::asking;
    connection.answer.emplace(target, !proxy.user.empty());
    auto request = discovery::connect_request(target, proxy.user, proxy.password.view());
    const net::WipedAtEnd wipe(request);
    connection.stream->write(request);
}

void Streams::proxy_answered(ConnectionId id, net::ByteView bytes) {
    auto& connection = connections_.at(id);
    connection.answer->feed(bytes);
    switch (connection.answer->state()) {
        case discovery::ConnectAnswer::State::waiting: return;
        case discovery::ConnectAnswer::State::failed: return dial_failed(id, std::string(connection.answer->why()));
        case discovery::ConnectAnswer::State::open: break;
    }
    connection.stage = Stage::securing;
    connection.stream->secure(std::make_unique<loop::TlsSession>(client_, settings_.server_name));
}

void Streams::dialled(ConnectionId id) {
    auto& connection = connections_.at(id);
    const auto pair_id = connection.pair;
    auto& pair = pairs_.at(pair_id);
    connection.due = net::kNever;
    connection.stream->write(discovery::StreamPreamble{connection.role, pair.id}.encode());
    if (connection.role == discovery::StreamRole::bulk) {
        pair.bulk_wait = kBulkAgain;
        return;
    }
    pair.way = connection.way;
    pair.told = true;
    pair.heard = loop_.now().steady;
    if (settings_.proxy && pair.ways.empty()) prefers_proxy_ = connection.way == Way::proxied;
    begin(pair_id, discovery::StreamRole::bulk, connection.way);
    events_.opened(pair_id, pair.remote);
    settled();
}

void Streams::dial_failed(ConnectionId id, const std::string& why) {
    const auto& connection = connections_.at(id);
    const auto pair_id = connection.pair;
    const auto role = connection.role;
    const auto way = connection.way;
    forget(id);
    auto& pair = pairs_.at(pair_id);
    if (role == discovery::StreamRole::bulk) {
        pair.bulk_at = loop_.now().steady + pair.bulk_wait;
        pair.bulk_wait = std::min<net::Duration>(2 * pair.bulk_wait, kBulkAgainAtMost);
        return sweep_later();
    }
    const auto& at = settings_.proxy ? settings_.proxy->at : HostPort{};
    if (!pair.why.empty()) pair.why += "; ";
    pair.why += (way == Way::proxied ? "by the proxy at " + at.host + ":" + std::to_string(at.port) : "straight") + ": " + why;
    if (!pair.ways.empty()) {
        const auto next = pair.ways.back();
        pair.ways.pop_back();
        return begin(pair_id, role, next);
    }
    ++counters_.dials_failed;
    const auto all = pair.why;
    close_pair(pair_id, all);
    settled();
}

}  // namespace meshd
