/// Streams over loopback: one that listens, one that dials.
#pragma once

#include <catch2/catch.hpp>

#include "meshd/streams.hpp"

namespace test {

using namespace std::chrono_literals;

/// What a test takes for a WireGuard datagram that is for it: type 4, filled with a mark.
inline net::Bytes datagram(std::uint8_t mark, std::size_t size = 200) {
    net::Bytes out(size, std::byte{mark});
    out[0] = std::byte{4};
    return out;
}
inline net::Bytes not_for_us(std::size_t size = 200) { return net::Bytes(size, std::byte{9}); }

/// One end, and what it was told.
struct End {
    End(loop::Loop& loop, meshd::Streams::Settings settings)
        : resolver(loop), streams(loop, std::move(settings),
                                  {[this](mesh::StreamId id, const net::Endpoint& remote) { opened.emplace_back(id, remote); },
                                   [this](mesh::StreamId id, const std::string& why) { closed.emplace_back(id, why); },
                                   [this](mesh::StreamId id, net::MutableBytes bytes) {
                                       came.push_back(net::copy(bytes));
                                       if (answers) streams.send(id, bytes, false);
                                   },
                                   [this] { ++settled; },
                                   [](net::ByteView bytes) { return std::to_integer<unsigned>(bytes[0]) <= 4; },
                                   [this](const net::IpAddress& address) { return address != forbidden; }},
                                  random, resolver) {}
    std::vector<std::pair<mesh::StreamId, net::Endpoint>> opened;
    std::vector<std::pair<mesh::StreamId, std::string>> closed;
    std::vector<net::Bytes> came;
    unsigned settled = 0;
    bool answers = false;
    net::IpAddress forbidden;
    net::SeededRandom random{5};
    loop::Resolver resolver;
    meshd::Streams streams;
};

struct Ground {
    explicit Ground(meshd::Streams::Settings of_server = {}, meshd::Streams::Settings of_client = {}) {
        // Two addresses of this machine, so that a test can tell the server from all else.
        of_server.listen = {{net::IpAddress::v4(127, 0, 0, 2), 0}};
        server = std::make_unique<End>(loop, std::move(of_server));
        client = std::make_unique<End>(loop, std::move(of_client));
        watchdog.after(20s);
    }
    void run_until(const std::function<bool()>& done) {
        while (!done()) loop.run_once();
    }
    net::Endpoint at() const { return server->streams.listens().front(); }
    mesh::StreamId dial() {
        const auto id = client->streams.dial(at());
        const auto before = client->opened.size();
        run_until([&] { return client->opened.size() > before; });
        return id;
    }
    /// Dialled, and told on both sides.
    mesh::StreamId open() {
        const auto id = dial();
        const auto before = server->opened.size();
        client->streams.send(id, datagram(1), false);
        run_until([&] { return server->opened.size() > before && server->streams.connections() == 2 * server->opened.size(); });
        server->came.clear();
        return id;
    }

    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 20 s"); }};
    std::unique_ptr<End> server, client;
};

/// A connection of somebody's to the server, who speaks as he likes inside TLS.
struct Somebody {
    Somebody(Ground& ground, bool tls, const net::IpAddress& from = {})
        : stream(loop::Stream::connect_tcp(ground.loop, ground.at(),
                                           {[this] { connected = true; }, [this](net::ByteView bytes) { heard += bytes.size(); },
                                            [this](const loop::Closed&) { closed = true; }, nullptr},
                                           {}, from)) {
        if (tls) stream->secure(std::make_unique<loop::TlsSession>(*loop::TlsContext::client({false, {}})));
    }
    void say(const net::Bytes& datagram) {
        net::Bytes wire;
        discovery::append_datagram(wire, datagram);
        stream->write(wire);
    }
    void say_preamble(discovery::StreamRole role = discovery::StreamRole::first, std::uint8_t mark = 1) {
        discovery::StreamPairId id;
        id.fill(std::byte{mark});
        stream->write(discovery::StreamPreamble{role, id}.encode());
    }
    bool connected = false, closed = false;
    std::size_t heard = 0;
    std::unique_ptr<loop::Stream> stream;
};

}  // namespace test
