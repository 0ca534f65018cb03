#include <catch2/catch.hpp>

#include "loop/tcp_listener.hpp"
#include "loop/timer.hpp"

using namespace std::chrono_literals;

namespace {

using loop::TlsContext;
using loop::TlsSession;
using State = TlsSession::State;

const loop::SelfSigned& own() {
    static const auto made = *loop::make_self_signed({"sip.acme.example", "192.0.2.1"});
    return made;
}
std::shared_ptr<const TlsContext> server() { return *TlsContext::server(own().certificate, own().key); }
std::shared_ptr<const TlsContext> client(bool verify = true) { return *TlsContext::client({verify, own().certificate}); }

/// Both ends without a wire: what one says the other hears at once.
struct Pair {
    explicit Pair(std::string name, std::shared_ptr<const TlsContext> trust = client()) : near(std::move(trust), std::move(name)) {
        run();
    }
    void run() {
        for (int i = 0; i < 20; ++i) {
            far.feed(near.take_wire(), heard_far);
            near.feed(far.take_wire(), heard_near);
        }
    }
    TlsSession far{server()};
    TlsSession near;
    net::Bytes heard_far, heard_near;
};

struct Ground {
    void run_until(const std::function<bool()>& done) {
        while (!done()) loop.run_once();
    }
    loop::Stream::Limits limits() const {
        loop::Stream::Limits limits;
        limits.connect_timeout = handshake;
        return limits;
    }
    std::unique_ptr<loop::Stream> connect(bool secure, const std::string& name = "sip.acme.example") {
        auto stream = loop::Stream::connect_tcp(
            loop, listener.local(),
            {[this] { ++connected; }, [this](net::ByteView bytes) { heard += net::as_text(bytes); },
             [this](const loop::Closed& closed) { closed_here.push_back(closed); }, nullptr});
        if (secure) stream->secure(std::make_unique<TlsSession>(client(), name));
        return stream;
    }

    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    net::Duration handshake = 10s;
    unsigned connected = 0, accepted = 0;
    std::string heard;
    std::vector<loop::Closed> closed_here, closed_there;
    std::vector<std::unique_ptr<loop::Stream>> streams;
    std::unique_ptr<loop::TcpListener> at;
    loop::TcpListener& listener = listen();
    explicit Ground(net::Duration within = 10s) : handshake(within) { watchdog.after(10s); }

private:
    /// Everything that comes is sent back.
    loop::TcpListener& listen() {
        at = std::make_unique<loop::TcpListener>(
            loop, net::Endpoint{net::IpAddress::v4(127, 0, 0, 1), 0},
            [this](std::unique_ptr<loop::Stream> stream) {
                auto* raw = stream.get();
                streams.push_back(std::move(stream));
                raw->secure(std::make_unique<TlsSession>(server()));
                raw->start({[this] { ++accepted; }, [raw](net::ByteView bytes) { raw->write(bytes); },
                            [this](const loop::Closed& closed) { closed_there.push_back(closed); }, nullptr});
            },
            limits());
        return *at;
    }
};

}  // namespace

TEST_CASE("two ends shake hands, and hear what the other says and nothing else") {
    Pair pair("SIP.acme.example");
    INFO(pair.near.why() << pair.far.why());
    REQUIRE(pair.near.state() == State::open);
    REQUIRE(pair.far.state() == State::open);
    pair.near.write(net::as_bytes("REGISTER"));
    const auto wire = pair.near.take_wire();
    CHECK(net::as_text(wire).find("REGISTER") == std::string_view::npos);
    pair.far.feed(wire, pair.heard_far);
    CHECK(net::as_text(pair.heard_far) == "REGISTER");
    pair.far.write(net::as_bytes(std::string(100000, 'x')));
    pair.run();
    CHECK(pair.heard_near.size() == 100000);
    pair.near.close();
    pair.run();
    CHECK(pair.far.state() == State::closed);
}

TEST_CASE("what is written before the handshake is done is sent after it") {
    TlsSession near(client(), "192.0.2.1");
    TlsSession far(server());
    near.write(net::as_bytes("early"));
    CHECK(near.waiting_bytes() == 5);
    net::Bytes heard, none;
    for (int i = 0; i < 10; ++i) {
        far.feed(near.take_wire(), heard);
        near.feed(far.take_wire(), none);
    }
    CHECK(net::as_text(heard) == "early");
    CHECK(near.waiting_bytes() == 0);
}

TEST_CASE("a certificate for another name, from nobody we trust, or none to compare with ends the handshake") {
    CHECK(Pair("192.0.2.1").near.state() == State::open);
    for (const auto* name : {"other.example", "acme.example", "sip.acme.example.net", "192.0.2.2", ""}) {
        Pair pair(name);
        INFO(name);
        CHECK(pair.near.state() == State::failed);
        CHECK(pair.near.why() == "TLS: the certificate is not for " + std::string(name));
    }
    const auto stranger = *loop::make_self_signed({"stranger.example"});
    Pair untrusted("sip.acme.example", *TlsContext::client({true, stranger.certificate}));
    CHECK(untrusted.near.state() == State::failed);
    CHECK(untrusted.near.why().starts_with("TLS: self"));
    CHECK(untrusted.far.state() == State::failed);  // it was told
    CHECK(Pair("sip.acme.example", *TlsContext::client({true, {}})).near.state() == State::failed);
    CHECK(Pair("other.example", client(false)).near.state() == State::open);  // told not to verify
}

TEST_CASE("garbage instead of TLS, or in its midst, ends it and is said") {
    for (const std::string garbage : {"GET / HTTP/1.1\r\n\r\n", "REGISTER sip:x SIP/2.0\r\n", "\x16\x03\x01\xff\xff"}) {
        TlsSession far(server());
        net::Bytes plain;
        far.feed(net::as_bytes(garbage + std::string(70000, '\0')), plain);
        CHECK(far.state() == State::failed);
        CHECK(far.why().starts_with("TLS: "));
        CHECK(plain.empty());
        far.feed(net::as_bytes("more"), plain);
        CHECK(plain.empty());
    }
    Pair pair("sip.acme.example");
    pair.near.write(net::as_bytes("REGISTER"));
    auto wire = pair.near.take_wire();
    wire.back() ^= std::byte{1};
    pair.far.feed(wire, pair.heard_far);
    CHECK(pair.far.state() == State::failed);
    CHECK(pair.heard_far.empty());
}

TEST_CASE("a certificate or key that cannot be used is refused, and it is said which") {
    const auto other = *loop::make_self_signed({"other.example"});
    const auto why = [](std::string_view certificate, std::string_view key) {
        const auto context = TlsContext::server(certificate, key);
        return context ? std::string() : context.error().message;
    };
    CHECK(why(own().certificate, own().key).empty());
    CHECK(why("nonsense", own().key).starts_with("the TLS certificate cannot be read"));
    CHECK(why(own().certificate, "").starts_with("the TLS key cannot be read"));
    CHECK(why(own().certificate, other.key) == "the TLS key is not that of the certificate");
    CHECK_FALSE(TlsContext::client({true, "nonsense"}));
    CHECK(server()->fingerprint().size() == 32 * 3 - 1);
    CHECK(server()->fingerprint() == server()->fingerprint());
    CHECK((*TlsContext::server(other.certificate, other.key))->fingerprint() != server()->fingerprint());
}

TEST_CASE("a TLS stream carries as much as is written, both ways, and ends in order") {
    Ground ground;
    const auto stream = ground.connect(true);
    const std::string much(300000, 'm');
    REQUIRE(stream->write(net::as_bytes(much)));
    REQUIRE_FALSE(stream->write(net::as_bytes(std::string(1 << 20, 'm'))));  // the queue is bounded before it is open, too
    ground.run_until([&] { return ground.heard.size() == much.size(); });
    CHECK(ground.heard == much);
    CHECK(ground.connected == 1);
    CHECK(ground.accepted == 1);
    stream->close_when_drained();
    ground.run_until([&] { return !ground.closed_here.empty() && !ground.closed_there.empty(); });
    CHECK(ground.closed_here.front().reason == loop::Closed::Reason::by_us);
    CHECK(ground.closed_there.front().reason == loop::Closed::Reason::by_peer);
}

TEST_CASE("a TLS stream to whoever is not who it should be ends before a word is said") {
    Ground ground;
    const auto stream = ground.connect(true, "other.example");
    stream->write(net::as_bytes("secret"));
    ground.run_until([&] { return !ground.closed_here.empty() && !ground.closed_there.empty(); });
    CHECK(ground.closed_here.front().reason == loop::Closed::Reason::insecure);
    CHECK(ground.closed_here.front().text == "TLS: the certificate is not for other.example");
    CHECK(ground.connected == 0);
    CHECK(ground.heard.empty());
}

TEST_CASE("a connection that says nothing, or no TLS, does not stay open") {
    Ground ground(50ms);
    const auto silent = ground.connect(false);
    ground.run_until([&] { return ground.closed_there.size() == 1; });
    CHECK(ground.closed_there.back().reason == loop::Closed::Reason::timed_out);
    const auto garbage = ground.connect(false);
    garbage->write(net::as_bytes("OPTIONS sip:x SIP/2.0\r\n\r\n"));
    ground.run_until([&] { return ground.closed_there.size() == 2; });
    CHECK(ground.closed_there.back().reason == loop::Closed::Reason::insecure);
    CHECK(ground.accepted == 0);
}

TEST_CASE("both ends agree on a protocol where both name it, and shake hands all the same where they do not") {
    const auto agreed = [](std::string_view at_server, const std::string& at_client) {
        TlsSession far(*TlsContext::server(own().certificate, own().key, at_server));
        TlsSession near(*TlsContext::client({false, {}, at_client}));
        net::Bytes heard;
        for (int i = 0; i < 10; ++i) {
            far.feed(near.take_wire(), heard);
            near.feed(far.take_wire(), heard);
        }
        REQUIRE(near.state() == State::open);
        REQUIRE(far.state() == State::open);
        CHECK(far.alpn() == near.alpn());
        return near.alpn();
    };
    CHECK(agreed("http/1.1", "http/1.1") == "http/1.1");
    CHECK(agreed("http/1.1", "h2").empty());
    CHECK(agreed("http/1.1", "").empty());
    CHECK(agreed("", "http/1.1").empty());
}

TEST_CASE("a stream that is open can go on in TLS, behind what was said before it") {
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    watchdog.after(10s);
    std::unique_ptr<loop::Stream> far, near;
    std::string heard, answered;
    unsigned connected = 0;
    loop::TcpListener listener(loop, {net::IpAddress::v4(127, 0, 0, 1), 0}, [&](std::unique_ptr<loop::Stream> stream) {
        far = std::move(stream);
        far->start({nullptr,
                    [&](net::ByteView bytes) {
                        heard += net::as_text(bytes);
                        if (heard != "please") return;
                        far->write(net::as_bytes("yes"));
                        far->secure(std::make_unique<TlsSession>(server()));
                    },
                    [](const loop::Closed&) {}, nullptr});
    });
    near = loop::Stream::connect_tcp(loop, listener.local(),
                                     {[&] {
                                          if (++connected == 1) near->write(net::as_bytes("please"));
                                          if (connected == 2) near->write(net::as_bytes("secret"));
                                      },
                                      [&](net::ByteView bytes) {
                                          answered += net::as_text(bytes);
                                          near->secure(std::make_unique<TlsSession>(client(false)));
                                      },
                                      [](const loop::Closed&) {}, nullptr});
    while (heard != "pleasesecret") loop.run_once();
    CHECK(answered == "yes");
    CHECK(connected == 2);
}
