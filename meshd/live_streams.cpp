#include "meshd/live_streams.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "mesh/data_path.hpp"

namespace meshd {
namespace {

constexpr std::size_t kMostComplaints = 256;

}  // namespace

std::optional<HttpProxy> proxy_to_dial_through(const StreamsConfig& config) {
    if (!config.dial) return std::nullopt;
    try {
        return http_proxy_of(config);
    } catch (const std::runtime_error& error) {
        if (!config.proxy_of_environment) throw;
        spdlog::warn("{}", error.what());
        return std::nullopt;
    }
}

std::vector<net::Endpoint> stream_endpoints(const std::vector<net::Endpoint>& advertise,
                                            const std::vector<net::Endpoint>& listens, const OwnAddresses& ours) {
    auto out = advertise;
    const auto add = [&](const net::Endpoint& endpoint) {
        if (std::find(out.begin(), out.end(), endpoint) == out.end()) out.push_back(endpoint);
    };
    for (const auto& at : listens) {
        if (!at.address.is_unspecified()) {
            add(at);
            continue;
        }
        for (const auto& own : ours.endpoints) {
            if (own.address.is_v6() == at.address.is_v6()) add({own.address, at.port});
        }
    }
    return out;
}

LiveStreams::LiveStreams(loop::Loop& loop, const StreamsConfig& config, mesh::Node& node, net::Random& random,
                         loop::Resolver& resolver, std::function<void()> settled)
    : loop_(loop), config_(config), node_(node), settled_(std::move(settled)) {
    Streams::Settings settings;
    settings.listen = config.listen;
    settings.proxy = proxy_to_dial_through(config);
    settings.server_name = config.server_name;
    Streams::Events events;
    events.opened = [this](mesh::StreamId id, const net::Endpoint& remote) { opened(id, remote); };
    events.closed = [this](mesh::StreamId id, const std::string& why) { closed(id, why); };
    events.datagram = [this](mesh::StreamId id, net::MutableBytes bytes) {
        node_.receive(bytes, mesh::stream_endpoint(id), loop_.now());
    };
    events.settled = settled_;
    events.is_for_us = [this](net::ByteView bytes) { return mesh::can_be_for_us(*node_.table(), bytes); };
    events.may_dial = [this](const net::IpAddress& address) { return !node_.table()->in_overlay(address); };
    streams_ = std::make_unique<Streams>(loop, std::move(settings), std::move(events), random, resolver);
    for (const auto& at : streams_->listens()) spdlog::info("streams are accepted at {}", at.text());
}

LiveStreams::~LiveStreams() { *alive_ = false; }

// What we are asked by is the node's own events: what it says to the answer is looked at afterwards.
void LiveStreams::settle_later() {
    loop_.defer([this, alive = alive_] {
        if (*alive) settled_();
    });
}

void LiveStreams::wanted(const mesh::StreamWanted& wish) {
    if (!config_.dial) {
        node_.stream_failed(wish.to, loop_.now());
        return settle_later();
    }
    const auto id = streams_->dial(wish.to);
    if (!streams_->is_open(id)) {
        dialling_[id] = wish.to;
        return;
    }
    // It is there already, for another member behind the same port.
    node_.stream_opened(id, wish.to, loop_.now());
    settle_later();
}

void LiveStreams::unwanted(const mesh::StreamUnwanted& wish) {
    streams_->close(wish.stream);
    node_.stream_closed(wish.stream, loop_.now());
    settle_later();
}

void LiveStreams::opened(mesh::StreamId id, const net::Endpoint& remote) {
    if (dialling_.erase(id) != 0) {
        complained_.clear();
        spdlog::info("a stream to {} stands{}", remote.text(), streams_->is_proxied(id) ? ", through the proxy" : "");
    } else {
        spdlog::info("a stream from {} stands", remote.text());
    }
    node_.stream_opened(id, remote, loop_.now());
}

void LiveStreams::closed(mesh::StreamId id, const std::string& why) {
    const auto dialled = dialling_.find(id);
    if (dialled == dialling_.end()) {
        spdlog::debug("a stream has ended: {}", why);
        return node_.stream_closed(id, loop_.now());
    }
    const auto to = dialled->second;
    dialling_.erase(dialled);
    if (complained_.size() < kMostComplaints && complained_.insert(to.text() + why).second) {
        spdlog::warn("no stream to {}: {}", to.text(), why);
    }
    node_.stream_failed(to, loop_.now());
}

bool LiveStreams::send(const mesh::Datagram& datagram) {
    const auto way = mesh::VirtualEndpoint::of(datagram.to);
    if (!way || way->kind != mesh::VirtualEndpoint::Kind::stream) return true;
    return streams_->send(way->id, datagram.bytes, datagram.bulk);
}

void LiveStreams::network_changed(const OwnAddresses& ours) {
    streams_->network_changed();
    node_.set_stream_endpoints(stream_endpoints(config_.advertise, streams_->listens(), ours), loop_.now());
}

}  // namespace meshd
