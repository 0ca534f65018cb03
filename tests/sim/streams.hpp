/// Streams between hosts: reliable, ordered messages on TCP to port 443, through the same boxes as datagrams. A dial takes
/// two round trips (TCP, TLS), and gives what is under way or open to the same place again. A lost packet delays what follows. When a message cannot arrive, because an end has moved,
/// sleeps, is cut off or a box has forgotten it, the stream is broken for good: its end notices that after a while.
#pragma once

#include <memory>

#include "mesh/virtual_endpoint.hpp"
#include "tests/sim/network.hpp"

namespace sim {

class Host;
class World;

class Streams {
public:
    static constexpr std::uint16_t kPort = 443;
    static constexpr auto kNoticesAfter = std::chrono::seconds(20);  ///< as the daemon's TCP_USER_TIMEOUT
    static constexpr auto kDialTime = std::chrono::seconds(4);       ///< without any answer

    explicit Streams(World& world) : world_(world) {}  ///< borrowed for life

    /// The host's node is told how it went, after this turn.
    void dial(Host& from, const net::Endpoint& to);
    void send(Host& from, mesh::StreamId id, net::Bytes bytes);
    /// Its node is told, and after a while the other end's.
    void close(Host& from, mesh::StreamId id);
    /// The host has crashed: its ends are gone, without a word.
    void forget(const Host& host);
    std::size_t size() const { return ends_.size(); }

private:
    struct End {
        Host* host = nullptr;
        mesh::StreamId id = 0;
        std::uint16_t port = 0;   ///< here
        net::IpAddress address;   ///< here
        net::Endpoint remote;     ///< as seen from here
        net::Steady clear{};      ///< what was sent before has arrived there by then
        bool dialled = false;     ///< here
        bool noticing = false;    ///< it is broken
        std::weak_ptr<End> other;
    };
    using Key = std::pair<const Host*, mesh::StreamId>;

    void begin(Host& from, const net::Endpoint& to);
    void accept(Host& client, std::uint16_t port, const net::Endpoint& to, const Network::Transit& transit);
    void broken(const std::shared_ptr<End>& end);
    void end(const Key& key);
    std::shared_ptr<End> open(Host& host, std::uint16_t port, const net::IpAddress& address, const net::Endpoint& remote);

    World& world_;
    std::map<Key, std::shared_ptr<End>> ends_;
    std::map<std::pair<const Host*, net::Endpoint>, net::Steady> under_way_;  ///< until when at most
    mesh::StreamId next_ = 1;
    std::uint16_t next_port_ = 40000;
};

}  // namespace sim
