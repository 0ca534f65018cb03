#include <net/if.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "meshd/sip_sockets.hpp"
#include "meshd/sip_tls.hpp"

using namespace std::chrono_literals;

namespace {

const auto kPhone = *net::IpAddress::parse("127.0.0.1");
const auto kStranger = *net::IpAddress::parse("127.0.0.2");
constexpr std::string_view kOptions =
    "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    "To: <sip:x@127.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

/// A port that was free a moment ago, on every address: what somebody's connection to elsewhere has is not.
std::uint16_t some_port(loop::Loop& loop) {
    return loop::TcpListener(loop, {net::IpAddress::v4(0), 0, 0}, [](std::unique_ptr<loop::Stream>) {}).local().port;
}

struct Fixture {
    std::unique_ptr<loop::Stream> connect(const net::IpAddress& from) {
        auto stream = loop::Stream::connect_tcp(
            loop, {kPhone, port, 0}, {nullptr, nullptr, [this](const loop::Closed&) { ++closed; }, nullptr}, {}, from);
        stream->write(net::as_bytes(kOptions));
        return stream;
    }
    void run_until(const std::function<bool()>& done) {
        while (!done()) loop.run_once();
    }

    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    std::uint16_t port = some_port(loop);
    std::vector<voice::Flow> came_by;
    unsigned closed = 0, lost = 0;
    meshd::SipSockets sockets{loop, port,
                              {[this](const voice::Flow& flow, net::ByteView) { came_by.push_back(flow); },
                               [](const voice::Flow& flow) { return flow.remote.address == kPhone; },
                               [this](const voice::Flow&, voice::FlowFailure) { ++lost; },
                               nullptr}};
    Fixture() { watchdog.after(10s); }
};

struct Folder {
    Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string file(const std::string& name) const { return path + "/" + name; }
    void write(const std::string& name, const std::string& text) const { std::ofstream(file(name)) << text; }
    std::string path = "/tmp/meshd-test-XXXXXX";
};

}  // namespace

TEST_CASE("a TCP connection from where no phone may be is closed unread, and takes up no room") {
    Fixture f;
    std::vector<std::unique_ptr<loop::Stream>> strangers;
    for (unsigned i = 0; i < 300; ++i) strangers.push_back(f.connect(kStranger));  // more than one address may have
    f.run_until([&] { return f.closed == 300; });
    CHECK(f.came_by.empty());
    CHECK(f.sockets.counters().stranger_connections == 300);
    CHECK(f.sockets.counters().refused_connections == 0);
    const auto phone = f.connect(kPhone);
    f.run_until([&] { return !f.came_by.empty(); });
    CHECK(f.came_by.front().remote.address == kPhone);
    CHECK(f.came_by.front().connection != 0);
    CHECK(f.lost == 0);
}

TEST_CASE("one address has so many connections and no more, and room again when some are closed") {
    Fixture f;
    std::vector<std::unique_ptr<loop::Stream>> phones;
    const auto most = meshd::SipSockets::kMaxOfOneAddress;
    for (std::size_t i = 0; i < most + 2; ++i) phones.push_back(f.connect(kPhone));
    f.run_until([&] { return f.came_by.size() == most && f.closed == 2; });
    CHECK(f.sockets.counters().refused_connections == 2);
    CHECK(f.sockets.counters().stranger_connections == 0);
    phones.clear();
    f.run_until([&] { return f.lost == most; });
    const auto phone = f.connect(kPhone);
    f.run_until([&] { return f.came_by.size() == most + 1; });
    CHECK(f.sockets.counters().refused_connections == 2);
}

TEST_CASE("where an address has as many connections as it may the one that was silent longest gives way, if that was long") {
    Fixture f;
    f.watchdog.after(60s);
    std::map<std::uint64_t, unsigned> heard;
    unsigned lost = 0;
    const auto port = some_port(f.loop);
    meshd::SipSockets sockets(f.loop, port, {[&](const voice::Flow& flow, net::ByteView) { ++heard[flow.connection]; }, nullptr,
                                             [&](const voice::Flow&, voice::FlowFailure) { ++lost; }, nullptr},
                              3s);
    std::vector<std::size_t> closed;
    std::vector<std::unique_ptr<loop::Stream>> phones;
    const auto come = [&] {
        phones.push_back(loop::Stream::connect_tcp(
            f.loop, {kPhone, port, 0}, {nullptr, nullptr, [&closed, i = phones.size()](const loop::Closed&) { closed.push_back(i); }, nullptr}, {}, kPhone));
        phones.back()->write(net::as_bytes(kOptions));
    };
    const auto most = meshd::SipSockets::kMaxOfOneAddress;
    for (std::size_t i = 0; i < most; ++i) come();
    f.run_until([&] { return heard.size() == most; });
    const auto full = f.loop.now().steady;
    come();
    f.run_until([&] { return closed == std::vector<std::size_t>{most}; });  // all others have spoken a moment ago
    CHECK(sockets.counters().refused_connections == 1);
    CHECK(sockets.counters().idle_connections == 0);
    // One of them stays silent, one speaks again soon, all others later.
    loop::Timer later{f.loop, [] {}};
    const auto wait_until = [&](net::Steady at) {
        later.at(at);
        f.run_until([&] { return f.loop.now().steady >= at; });
    };
    wait_until(full + 300ms);
    phones[3]->write(net::as_bytes(kOptions));
    wait_until(full + 1s);
    for (std::size_t i = 0; i < most; ++i) {
        if (i != 7 && i != 3) phones[i]->write(net::as_bytes(kOptions));
    }
    f.run_until([&] { return std::count_if(heard.begin(), heard.end(), [](const auto& one) { return one.second == 2; }) == most - 1; });
    wait_until(full + 3400ms);
    come();
    f.run_until([&] { return heard.size() == most + 1 && closed.size() == 2 && lost == 1; });
    CHECK(closed.back() == 7);
    CHECK(sockets.connections() == most);
    CHECK(sockets.counters().idle_connections == 1);
    CHECK(sockets.counters().refused_connections == 1);
}

TEST_CASE("an address that asks in vain for more than its room keeps no other from having its silent ones give way") {
    Fixture f;
    f.watchdog.after(60s);
    const auto idle = 3s;
    std::map<net::IpAddress, std::size_t> heard;
    const auto port = some_port(f.loop);
    meshd::SipSockets sockets(f.loop, port, {[&](const voice::Flow& flow, net::ByteView) { ++heard[flow.remote.address]; }, nullptr,
                                             [](const voice::Flow&, voice::FlowFailure) {}, nullptr},
                              idle);
    std::vector<std::unique_ptr<loop::Stream>> phones;
    const auto come = [&](const net::IpAddress& from) {
        phones.push_back(loop::Stream::connect_tcp(f.loop, {kPhone, port, 0}, {nullptr, nullptr, [](const loop::Closed&) {}, nullptr}, {}, from));
        phones.back()->write(net::as_bytes(kOptions));
    };
    const auto most = meshd::SipSockets::kMaxOfOneAddress;
    for (std::size_t i = 0; i < most; ++i) come(kPhone);
    f.run_until([&] { return heard[kPhone] == most; });
    const auto silent_since = f.loop.now().steady;
    loop::Timer later{f.loop, [] {}};
    later.at(silent_since + idle);
    f.run_until([&] { return f.loop.now().steady >= silent_since + idle; });
    for (std::size_t i = 0; i < most; ++i) come(kStranger);
    f.run_until([&] { return heard[kStranger] == most; });
    come(kStranger);
    come(kPhone);
    f.run_until([&] { return heard[kPhone] == most + 1 || sockets.counters().refused_connections == 2; });
    CHECK(heard[kPhone] == most + 1);
    CHECK(sockets.counters().refused_connections == 1);
    CHECK(sockets.counters().idle_connections == 1);
}

TEST_CASE("what says that it is from the mesh is taken from the mesh's device only") {
    Fixture f;
    const auto drawn = static_cast<std::uint8_t>(f.port % 250 + 1);
    const auto overlay = net::IpAddress::v4(127, drawn, static_cast<std::uint8_t>(f.port / 250), 1);
    loop::UdpSocket neighbour(f.loop, {kStranger, 0, 0}, {});
    f.sockets.set_overlay({overlay}, 4711);
    neighbour.send({overlay, 5080, 0}, net::as_bytes(kOptions));
    f.run_until([&] { return f.sockets.counters().beside_device == 1; });
    CHECK(f.came_by.empty());
    f.sockets.set_overlay({overlay}, if_nametoindex("lo"));
    neighbour.send({overlay, 5080, 0}, net::as_bytes(kOptions));
    f.run_until([&] { return !f.came_by.empty(); });
    CHECK(f.came_by.front().side == voice::Side::mesh);
}

TEST_CASE("a connection that we opened is closed when nobody has used it for long, and one that a phone opened is not") {
    Fixture f;
    meshd::SipSockets sockets(f.loop, some_port(f.loop),
                              {[](const voice::Flow&, net::ByteView) {}, nullptr,
                               [&](const voice::Flow& flow, voice::FlowFailure why) {
                                   CHECK(flow.connection != 0);
                                   CHECK(why == voice::FlowFailure::closed);
                                   ++f.closed;
                               },
                               nullptr},
                              50ms);
    const net::Endpoint remote{kPhone, f.port, 0};
    const voice::Outgoing out{{voice::Transport::tcp, {}, remote, 0, voice::Side::phone}, net::copy(net::as_bytes(kOptions))};
    const auto started = f.loop.now().steady;
    sockets.send(out);
    f.run_until([&] { return f.came_by.size() == 1; });
    CHECK(sockets.connections() == 1);
    f.run_until([&] { return f.closed == 1; });
    CHECK(f.loop.now().steady - started >= 50ms);
    CHECK(sockets.connections() == 0);
    CHECK(sockets.counters().idle_connections == 1);
    CHECK(sockets.counters().broken_streams == 0);
    sockets.send(out);  // and it is opened again when it is needed
    f.run_until([&] { return f.came_by.size() == 2; });
    CHECK(f.sockets.counters().idle_connections == 0);
}

TEST_CASE("a double line end on TCP is answered by one, before any message and between two") {
    Fixture f;
    std::string heard;
    auto stream = loop::Stream::connect_tcp(f.loop, {kPhone, f.port, 0},
                                            {nullptr, [&](net::ByteView bytes) { heard += net::as_text(bytes); },
                                             [&](const loop::Closed&) { ++f.closed; }, nullptr},
                                            {}, kPhone);
    stream->write(net::as_bytes("\r\n\r\n"));
    f.run_until([&] { return heard == "\r\n"; });
    stream->write(net::as_bytes(std::string(kOptions) + "\r\n\r\n" + std::string(kOptions)));
    f.run_until([&] { return f.came_by.size() == 2 && heard == "\r\n\r\n"; });
    CHECK(f.closed == 0);
}

TEST_CASE("SIP comes and goes over TLS, and garbage there is counted and closed") {
    Fixture f;
    Folder folder;
    const meshd::StateFolder state(folder.path);
    const meshd::SipTlsConfig config;
    meshd::SipTls tls(config, state, {"acme.example"});
    const auto port = some_port(f.loop);
    f.sockets.listen_tls(port, [&] { return tls.context(f.loop.now()); });
    std::string heard;
    const auto connect = [&](bool secure) {
        auto stream = loop::Stream::connect_tcp(f.loop, {kPhone, port, 0},
                                                {nullptr, [&](net::ByteView bytes) { heard += net::as_text(bytes); },
                                                 [&](const loop::Closed&) { ++f.closed; }, nullptr},
                                                {}, kPhone);
        if (secure) stream->secure(std::make_unique<loop::TlsSession>(*loop::TlsContext::client({false, {}})));
        stream->write(net::as_bytes(kOptions));
        return stream;
    };
    const auto phone = connect(true);
    f.run_until([&] { return f.came_by.size() == 1; });
    const auto flow = f.came_by.front();
    CHECK(flow.transport == voice::Transport::tls);
    CHECK(flow.local.port == port);
    f.sockets.send({flow, net::copy(net::as_bytes("answer"))});
    f.run_until([&] { return heard == "answer"; });
    const auto garbage = connect(false);
    f.run_until([&] { return f.closed == 1; });
    CHECK(f.came_by.size() == 1);
    CHECK(f.sockets.counters().tls_failed == 1);
    CHECK(f.sockets.tls_trouble().find("TLS: ") != std::string::npos);
    // Nobody's certificate could be known: a phone is not called by a connection of ours.
    f.sockets.send({{voice::Transport::tls, {}, {kPhone, f.port, 0}, 0, voice::Side::phone}, net::copy(net::as_bytes("x"))});
    const auto lost = f.lost;
    f.run_until([&] { return f.lost == lost + 1; });
}

TEST_CASE("TLS to the centre is for its name, and fails as insecure where another answers") {
    Fixture f;
    Folder folder;
    const meshd::StateFolder state(folder.path);
    const meshd::SipTlsConfig config;
    meshd::SipTls tls(config, state, {"sip.acme.example"});
    const auto port = some_port(f.loop);
    f.sockets.listen_tls(port, [&] { return tls.context(f.loop.now()); });
    std::ifstream pem(folder.file("sip-tls.pem"));
    folder.write("authorities.pem", std::string(std::istreambuf_iterator<char>(pem), {}));
    meshd::SipTlsConfig trust;
    trust.authorities = folder.file("authorities.pem");
    std::vector<voice::FlowFailure> failures;
    meshd::SipSockets sockets(f.loop, some_port(f.loop),
                              {[](const voice::Flow&, net::ByteView) {}, nullptr,
                               [&](const voice::Flow&, voice::FlowFailure why) { failures.push_back(why); }, nullptr});
    const voice::Outgoing out{{voice::Transport::tls, {}, {kPhone, port, 0}, 0, voice::Side::centre},
                              net::copy(net::as_bytes(kOptions))};
    sockets.set_tls_centre(meshd::tls_to_centre(trust), "other.example");
    sockets.send(out);
    f.run_until([&] { return failures.size() == 1; });
    CHECK(failures.front() == voice::FlowFailure::insecure);
    CHECK(f.came_by.empty());
    sockets.set_tls_centre(meshd::tls_to_centre(trust), "sip.acme.example");
    sockets.send(out);
    f.run_until([&] { return f.came_by.size() == 1; });
    CHECK(failures.size() == 1);
}

TEST_CASE("TLS to others is for the name that each has, and no two names share a connection") {
    Fixture f;
    Folder folder;
    const meshd::StateFolder state(folder.path);
    const meshd::SipTlsConfig config;
    meshd::SipTls tls(config, state, {"one.example", "two.example"});
    const auto port = some_port(f.loop);
    f.sockets.listen_tls(port, [&] { return tls.context(f.loop.now()); });
    std::ifstream pem(folder.file("sip-tls.pem"));
    folder.write("authorities.pem", std::string(std::istreambuf_iterator<char>(pem), {}));
    meshd::SipTlsConfig trust;
    trust.authorities = folder.file("authorities.pem");
    std::vector<voice::FlowFailure> failures;
    std::string name;
    meshd::SipSockets sockets(f.loop, some_port(f.loop),
                              {[](const voice::Flow&, net::ByteView) {}, nullptr,
                               [&](const voice::Flow&, voice::FlowFailure why) { failures.push_back(why); }, nullptr,
                               [&](const voice::Flow&) { return name; }});
    sockets.set_tls_others([&] { return meshd::tls_to_others(trust); });
    const voice::Outgoing out{{voice::Transport::tls, {}, {kPhone, port, 0}, 0, voice::Side::outside},
                              net::copy(net::as_bytes(kOptions))};
    sockets.send(out);  // nobody knows whom to expect there
    f.run_until([&] { return failures.size() == 1; });
    CHECK(failures.front() == voice::FlowFailure::unreachable);
    name = "one.example";
    sockets.send(out);
    f.run_until([&] { return f.came_by.size() == 1; });
    sockets.send(out);
    f.run_until([&] { return f.came_by.size() == 2; });
    CHECK(f.came_by[1].connection == f.came_by[0].connection);
    name = "two.example";
    sockets.send(out);
    f.run_until([&] { return f.came_by.size() == 3; });
    CHECK(f.came_by[2].connection != f.came_by[0].connection);
    name = "three.example";
    sockets.send(out);
    f.run_until([&] { return failures.size() == 2; });
    CHECK(failures.back() == voice::FlowFailure::insecure);
}

TEST_CASE("our own certificate is made once, for our eyes only, and one that a person named is read again when it changes") {
    Folder folder;
    const meshd::StateFolder state(folder.path);
    net::Now now{net::Steady(1000s), {}};
    meshd::SipTlsConfig config;
    const auto first = meshd::SipTls(config, state, {"acme.example"}).fingerprint();
    CHECK(meshd::SipTls(config, state, {"acme.example"}).fingerprint() == first);
    struct stat at = {};
    REQUIRE(::stat(folder.file("sip-tls.pem").c_str(), &at) == 0);
    CHECK((at.st_mode & 0777) == 0600);

    const auto put = [&](const loop::SelfSigned& made) {
        folder.write("c.pem", made.certificate);
        folder.write("k.pem", made.key);
    };
    put(*loop::make_self_signed({"one.example"}));
    config.certificate = folder.file("c.pem");
    config.key = folder.file("k.pem");
    meshd::SipTls tls(config, state, {"acme.example"});
    const auto named = tls.context(now)->fingerprint();
    CHECK(named != first);
    folder.write("k.pem", "half a ke");
    now.steady += 4s;
    CHECK(tls.context(now)->fingerprint() == named);
    CHECK(tls.trouble().empty());  // it has not looked yet
    now.steady += 2s;
    CHECK(tls.context(now)->fingerprint() == named);
    CHECK(tls.trouble().find("the TLS key cannot be read") != std::string::npos);
    put(*loop::make_self_signed({"second.example"}));
    now.steady += 6s;
    CHECK(tls.context(now)->fingerprint() != named);
    CHECK(tls.trouble().empty());
    config.certificate = folder.file("nowhere.pem");
    CHECK_THROWS_WITH(meshd::SipTls(config, state, {}), Catch::Contains("voice.tls.certificate"));
}
