/// Streams as ways between a live node and its peers: dialled when the node wants one, accepted where the configuration
/// says, and told of in the node's record. Control thread only.
#pragma once

#include <map>
#include <set>

#include "mesh/node.hpp"
#include "meshd/live_discovery.hpp"
#include "meshd/streams.hpp"

namespace meshd {

/// Where others may dial this machine: what a person says, then, for each place where it listens, that address, or those
/// of `ours` where it is a wildcard. Each once.
std::vector<net::Endpoint> stream_endpoints(const std::vector<net::Endpoint>& advertise,
                                            const std::vector<net::Endpoint>& listens, const OwnAddresses& ours);

/// The proxy that dialled streams may go through. The environment's, where that is no proxy, is no reason not to start: it is
/// warned of. Else as http_proxy_of().
std::optional<HttpProxy> proxy_to_dial_through(const StreamsConfig& config);

class LiveStreams {
public:
    /// Listens. Throws std::runtime_error, with what to do, if it cannot, or if its proxy cannot be used. All references are
    /// borrowed for life. `settled` is called after the node has been told something.
    LiveStreams(loop::Loop& loop, const StreamsConfig& config, mesh::Node& node, net::Random& random, loop::Resolver& resolver,
                std::function<void()> settled);
    ~LiveStreams();
    LiveStreams(const LiveStreams&) = delete;
    LiveStreams& operator=(const LiveStreams&) = delete;

    /// As the node's events ask.
    void wanted(const mesh::StreamWanted& wish);
    void unwanted(const mesh::StreamUnwanted& wish);
    void proven(const mesh::StreamProven& news) { streams_->proven(news.stream); }
    /// To a stream's endpoint. False: it is larger than a stream takes.
    bool send(const mesh::Datagram& datagram);
    /// Writes what the kernel takes of what was sent, at once.
    void flush() { streams_->flush(); }
    void network_changed(const OwnAddresses& ours);

    const Streams& streams() const { return *streams_; }

private:
    void opened(mesh::StreamId id, const net::Endpoint& remote);
    void closed(mesh::StreamId id, const std::string& why);
    void settle_later();

    loop::Loop& loop_;
    const StreamsConfig& config_;
    mesh::Node& node_;
    const std::function<void()> settled_;
    std::unique_ptr<Streams> streams_;
    std::map<mesh::StreamId, net::Endpoint> dialling_;
    std::set<std::string> complained_;  ///< once each
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< what is deferred looks whether this still stands
};

}  // namespace meshd
