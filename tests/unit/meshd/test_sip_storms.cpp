/// Many at once, and few that mean ill: all phones of an office after a restart, over TCP and over TLS, and what is held in
/// bounds of whoever only takes up room.
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "meshd/sip_sockets.hpp"
#include "meshd/sip_tls.hpp"
#include "voice/transaction.hpp"

using namespace std::chrono_literals;

namespace storms {
namespace {

#ifdef __OPTIMIZE__
constexpr unsigned kPhones = 500;
#else
constexpr unsigned kPhones = 150;
#endif
const auto kHere = *net::IpAddress::parse("127.0.0.1");
/// Each a transaction of its own.
std::string registration(unsigned number) {
    const auto n = std::to_string(number);
    return "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK" + n + "\r\nFrom: <sip:a@b>;tag=1\r\n" +
           "To: <sip:a@b>\r\nCall-ID: " + n + "\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
}

/// Free on every address: meshd takes them all.
std::uint16_t some_port(loop::Loop& loop) {
    return loop::TcpListener(loop, {net::IpAddress::v4(0), 0, 0}, [](std::unique_ptr<loop::Stream>) {}).local().port;
}

/// Both ends of all these connections are here.
void have_descriptors() {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/// A meshd's sockets, where every request is answered 200, or 503 in overload, and those who connect to them.
struct Office {
    explicit Office(net::Duration within = 60s) : handshake_within(within) {
        have_descriptors();
        REQUIRE(::mkdtemp(folder.data()) != nullptr);
        state.emplace(folder);
        tls.emplace(config, *state, std::vector<std::string>{"acme.example"});
        sockets.listen_tls(tls_port, [this] { return tls->context(loop.now()); });
        watchdog.after(60s);
    }
    ~Office() { std::filesystem::remove_all(folder); }

    struct Phone {
        std::unique_ptr<loop::Stream> stream;
        std::string heard;
        unsigned closed = 0;
    };
    loop::Stream& connect(unsigned i, bool secure) { return connect(i, secure, registration(++requests)); }
    /// Each on an address of its own, 127.1.x.y, or all on one.
    loop::Stream& connect(unsigned i, bool secure, std::string_view says, const std::optional<net::IpAddress>& from = {}) {
        if (phones.size() <= i) phones.resize(i + 1);
        loop::Stream::Limits limits;
        limits.connect_timeout = 60s;
        phones[i].heard.clear();
        phones[i].stream = loop::Stream::connect_tcp(
            loop, {kHere, secure ? tls_port : port, 0},
            {nullptr, [this, i](net::ByteView bytes) { phones[i].heard += net::as_text(bytes); },
             [this, i](const loop::Closed&) { ++phones[i].closed; }, nullptr},
            limits, from.value_or(net::IpAddress::v4(127, 1, static_cast<std::uint8_t>(i / 250), static_cast<std::uint8_t>(i % 250 + 1))));
        // No port of theirs is kept for a minute after: other tests look for free ones.
        const linger at_once{1, 0};
        ::setsockopt(phones[i].stream->fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        if (secure && !says.empty()) phones[i].stream->secure(std::make_unique<loop::TlsSession>(trust));
        if (!says.empty()) phones[i].stream->write(net::as_bytes(says));
        return *phones[i].stream;
    }
    std::size_t answered() const {
        return static_cast<std::size_t>(std::count_if(phones.begin(), phones.end(), [](const auto& phone) { return !phone.heard.empty(); }));
    }
    void answer(const voice::Flow& flow, net::ByteView bytes) {
        auto message = voice::Message::parse(bytes, flow.reliable());
        if (!message) return;
        transactions.receive(std::move(*message), flow, loop.now());
        for (const auto& event : transactions.take_events()) {
            const auto* arrived = std::get_if<voice::RequestArrived>(&event);
            if (arrived == nullptr) continue;
            const auto ok = voice::Message::response(*transactions.request_of(arrived->id), 200, {}, "t");
            transactions.respond(arrived->id, ok, loop.now());
        }
        for (const auto& outgoing : transactions.take_outgoing()) sockets.send(outgoing);
    }
    void run_until(const std::function<bool()>& done) {
        while (!done()) loop.run_once();
    }
    /// All of them from one address, at once; who is refused comes again as soon as he hears so, until everybody has been answered.
    /// How often the one who came most often had to come; the most that have shaken hands at a time is kept.
    unsigned come_until_answered(unsigned count, bool secure) {
        std::vector<unsigned> came(count, 1);
        const auto come = [&](unsigned i) { connect(i, secure, registration(++requests), office_nat); };
        for (unsigned i = 0; i < count; ++i) come(i);
        run_until([&] {
            most_handshakes = std::max(most_handshakes, sockets.handshakes());
            for (unsigned i = 0; i < count; ++i) {
                if (phones[i].closed < came[i] || !phones[i].heard.empty()) continue;
                ++came[i];
                come(i);
            }
            if (counts_answers) registered = std::max(registered, answered());
            return answered() == count;
        });
        return *std::max_element(came.begin(), came.end());
    }

    const net::IpAddress office_nat = net::IpAddress::v4(127, 3, 0, 1);
    std::size_t registered = 0;   ///< phones of that address
    bool counts_answers = false;  ///< whoever has been answered has registered
    std::size_t most_handshakes = 0;
    std::string folder = "/tmp/meshd-test-XXXXXX";
    std::optional<meshd::StateFolder> state;
    meshd::SipTlsConfig config;
    std::optional<meshd::SipTls> tls;
    std::shared_ptr<const loop::TlsContext> trust = *loop::TlsContext::client({false, {}});
    net::Duration handshake_within;
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within a minute"); }};
    std::uint16_t port = some_port(loop), tls_port = some_port(loop);
    net::SeededRandom random{7};
    voice::Transactions transactions{random};
    unsigned requests = 0;
    std::uint64_t messages = 0;
    std::vector<bool> overloaded;
    std::vector<Phone> phones;
    meshd::SipSockets sockets{loop, port,
                              {[this](const voice::Flow& flow, net::ByteView bytes) {
                                   ++messages;
                                   answer(flow, bytes);
                               },
                               nullptr, [](const voice::Flow&, voice::FlowFailure) {},
                               [this](bool now) {
                                   overloaded.push_back(now);
                                   transactions.refuse_new(now);
                               },
                               nullptr,
                               [this](const net::IpAddress& address) { return address == office_nat ? registered : 0; }},
                              meshd::SipSockets::kIdle, handshake_within};
};

}  // namespace

TEST_CASE("all phones of an office that connect at once are taken and answered, none refused, by TCP and by TLS") {
    const bool secure = GENERATE(false, true);
    CAPTURE(secure);
    Office office;
    for (unsigned i = 0; i < kPhones; ++i) office.connect(i, secure);
    office.run_until([&] { return office.answered() == kPhones; });
    CHECK(office.messages == kPhones);
    CHECK(office.sockets.connections() == kPhones);
    CHECK(office.sockets.handshakes() == 0);
    CHECK(office.sockets.counters().refused_connections == 0);
    CHECK(office.sockets.counters().tls_failed == 0);
    for (const auto& phone : office.phones) {
        CHECK(phone.closed == 0);
        CHECK(phone.heard.starts_with("SIP/2.0 200 OK\r\n"));
    }
    CHECK(office.overloaded.empty());  // a burst is none
}

TEST_CASE("one address has so many unfinished handshakes and no more, and a phone elsewhere shakes hands meanwhile") {
    Office office(8s);
    const auto most = meshd::SipSockets::kMaxHandshakesOfOneAddress;
    const auto hostile = net::IpAddress::v4(127, 2, 0, 1);
    for (unsigned i = 0; i < most + 10; ++i) office.connect(i, true, {}, hostile);
    office.run_until([&] { return office.sockets.counters().refused_handshakes == 10; });
    CHECK(office.sockets.handshakes() == most);
    CHECK(office.sockets.counters().refused_connections == 10);
    office.connect(most + 10, true);
    office.run_until([&] { return office.answered() == 1; });
    CHECK(office.sockets.handshakes() == most);
    // What never becomes TLS is closed and counted when its time is over, and whoever comes then has room.
    office.run_until([&] { return office.sockets.counters().tls_half_open == most; });
    CHECK(office.sockets.counters().tls_failed == most);
    CHECK(office.sockets.handshakes() == 0);
    CHECK(office.sockets.connections() == 1);
    office.connect(0, true, registration(1000), hostile);
    office.run_until([&] { return office.answered() == 2; });
}

TEST_CASE("all phones of an office behind one address are taken after a restart, by TCP and by TLS") {
    const bool secure = GENERATE(false, true);
    CAPTURE(secure);
    Office office;
    office.registered = kPhones;  // as meshd remembers them
    const auto came = office.come_until_answered(kPhones, secure);
    for (const auto& phone : office.phones) CHECK(phone.heard.starts_with("SIP/2.0 200 OK\r\n"));
    CHECK(office.sockets.connections() == kPhones);
    CHECK(office.most_handshakes <= meshd::SipSockets::kMaxHandshakes - meshd::SipSockets::kHandshakesLeft);
    if (!secure) CHECK(came == 1);
    CHECK(office.sockets.counters().tls_failed == 0);
    CHECK(office.overloaded.empty());
    // Their NAT forgets all of them, and they come once more: the old connections are not known dead.
    const auto old = std::exchange(office.phones, {});
    office.come_until_answered(kPhones, secure);
    CHECK(office.sockets.connections() == 2 * kPhones);
    CHECK(office.sockets.counters().refused_connections == office.sockets.counters().refused_handshakes);
}

TEST_CASE("all phones of an office behind one address that nobody knows yet come in by and by, as they register") {
    Office office;
    office.counts_answers = true;
    office.come_until_answered(kPhones, false);
    CHECK(office.sockets.connections() == kPhones);
    for (const auto& phone : office.phones) CHECK(phone.heard.starts_with("SIP/2.0 200 OK\r\n"));
}

TEST_CASE("a flood from an address that phones have registered from is bounded, and so is one from elsewhere meanwhile") {
    Office office;
    office.registered = 40;
    const auto elsewhere = net::IpAddress::v4(127, 2, 0, 1);
    const auto most = meshd::SipSockets::kMaxOfOneAddress, more = most + 40 * meshd::SipSockets::kOfOnePhone;
    unsigned i = 0;
    for (unsigned k = 0; k < more + 10; ++k) office.connect(i++, false, "\r\n", office.office_nat);
    for (unsigned k = 0; k < most + 10; ++k) office.connect(i++, false, "\r\n", elsewhere);
    office.run_until([&] { return office.sockets.counters().refused_connections == 20; });
    CHECK(office.sockets.connections() == most + more);
    office.connect(i, false);
    office.run_until([&] { return office.answered() == 1; });
    // Whoever it is, and however many have registered there, something is left for the others.
    office.registered = 100'000;
    for (auto& phone : office.phones) phone.stream->close();
    office.run_until([&] { return office.sockets.connections() == 0; });
    const auto shakes = meshd::SipSockets::kMaxHandshakes - meshd::SipSockets::kHandshakesLeft;
    for (unsigned k = 0; k < shakes + 10; ++k) office.connect(k, true, {}, office.office_nat);
    office.run_until([&] { return office.sockets.counters().refused_handshakes == 10; });
    CHECK(office.sockets.handshakes() == shakes);
}

TEST_CASE("unfinished handshakes of many addresses are bounded, and are no overload") {
    Office office;
    const auto most = meshd::SipSockets::kMaxHandshakes;
    for (unsigned i = 0; i < most + 5; ++i) {
        office.connect(i, true, {}, net::IpAddress::v4(127, 2, 0, static_cast<std::uint8_t>(1 + i / 60)));
    }
    office.run_until([&] { return office.sockets.counters().refused_handshakes == 5; });
    CHECK(office.sockets.handshakes() == most);
    // By TCP, where there is no handshake, one is served as ever.
    office.connect(most + 5, false);
    office.run_until([&] { return office.answered() == 1; });
    CHECK(office.sockets.handshakes() == most);
    // Room comes back with whoever goes.
    for (unsigned i = 0; i < 100; ++i) office.phones[i].stream->close();
    office.run_until([&] { return office.sockets.handshakes() == most - 100; });
    office.connect(0, true);
    office.run_until([&] { return office.answered() == 2; });
    CHECK(office.overloaded.empty());
}

TEST_CASE("garbage on TLS ports is closed and counted, however much comes") {
    Office office;
    for (unsigned i = 0; i < 50; ++i) {
        office.connect(i, true, {}).write(net::Bytes(200'000, std::byte(static_cast<unsigned char>(0x16 + i))));
    }
    office.run_until([&] { return office.sockets.counters().tls_failed == 50; });
    CHECK(office.messages == 0);
    CHECK(office.sockets.connections() == 0);
    CHECK(office.sockets.handshakes() == 0);
}

TEST_CASE("streams that are no SIP, or a message without end, are answered where they can be, counted and closed") {
    const bool secure = GENERATE(false, true);
    CAPTURE(secure);
    Office office;
    const std::string request =
        "INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK2\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\n"
        "Call-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n";
    const std::string all(300'000, 'x');
    for (unsigned i = 0; i < 30; ++i) {
        if (i % 3 == 0) office.connect(i, secure, request + "Subject: " + all);
        if (i % 3 == 1) office.connect(i, secure, request + "Content-Length: 300000\r\n\r\n" + all);
        if (i % 3 == 2) office.connect(i, secure, std::string(300'000, '\0'));
    }
    office.run_until([&] { return office.sockets.counters().broken_streams == 30 && office.sockets.connections() == 0; });
    office.run_until([&] { return std::all_of(office.phones.begin(), office.phones.end(), [](const auto& one) { return one.closed == 1; }); });
    for (unsigned i = 0; i < 30; ++i) {
        CHECK(office.phones[i].heard.starts_with("SIP/2.0 513 Message Too Large\r\nVia: ") == (i % 3 != 2));
    }
    CHECK(office.messages == 0);
    CHECK(office.sockets.counters().broken_streams == 30);
}

TEST_CASE("while more comes by TCP than is read, who is new is answered 503 with Retry-After, in his turn, and 200 afterwards") {
    Office office;
    constexpr unsigned kWriters = 100;
    std::string much;
    while (much.size() < 60'000) much += "MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 15000\r\n\r\n" + std::string(15'000, 'x');
    for (unsigned i = 0; i < kWriters; ++i) office.connect(i, false, {});
    office.run_until([&] { return office.sockets.connections() == kWriters; });
    // They all go on and on: there is more after each turn.
    const auto write_on = [&] {
        for (unsigned i = 0; i < kWriters; ++i) {
            auto& stream = *office.phones[i].stream;
            if (stream.queued_bytes() == 0) stream.write(net::as_bytes(much));
        }
    };
    office.run_until([&] {
        write_on();
        return !office.overloaded.empty();
    });
    CHECK(office.overloaded == std::vector<bool>{true});
    CHECK(office.sockets.overload().times() == 1);
    // One among them who sends a single message has his turn: after one of each other's, and not after all that they send.
    const auto before = office.messages;
    office.connect(kWriters, false);
    office.run_until([&] {
        write_on();
        return !office.phones[kWriters].heard.empty();
    });
    CHECK(office.messages - before < 10 * kWriters);
    CHECK(office.phones[kWriters].heard.starts_with("SIP/2.0 503 Service Unavailable\r\n"));
    CHECK(office.phones[kWriters].heard.find("\r\nRetry-After: ") != std::string::npos);
    CHECK(office.overloaded.size() == 1);
    // Nobody needs to send anything for it to be over.
    for (unsigned i = 0; i < kWriters; ++i) office.phones[i].stream->close();
    office.run_until([&] { return office.overloaded.size() == 2; });
    CHECK_FALSE(office.overloaded.back());
    office.connect(kWriters, false);
    office.run_until([&] { return !office.phones[kWriters].heard.empty(); });
    CHECK(office.phones[kWriters].heard.starts_with("SIP/2.0 200 OK\r\n"));
}

TEST_CASE("one address that sends on and on is read in its turns, and nobody is refused for its sake") {
    Office office;
    constexpr unsigned kWriters = 60;
    const auto hostile = net::IpAddress::v4(127, 2, 0, 1);
    std::string much;
    while (much.size() < 60'000) much += "MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 15000\r\n\r\n" + std::string(15'000, 'x');
    for (unsigned i = 0; i < kWriters; ++i) office.connect(i, false, {}, hostile);
    office.run_until([&] { return office.sockets.connections() == kWriters; });
    bool over = false;
    loop::Timer end{office.loop, [&] { over = true; }};
    end.after(2s);  // twice as long as it takes to be overloaded
    office.run_until([&] {
        for (unsigned i = 0; i < kWriters; ++i) {
            auto& stream = *office.phones[i].stream;
            if (stream.queued_bytes() == 0) stream.write(net::as_bytes(much));
        }
        return over;
    });
    CHECK(office.overloaded.empty());
    office.connect(kWriters, false);
    office.run_until([&] { return !office.phones[kWriters].heard.empty(); });
    CHECK(office.phones[kWriters].heard.starts_with("SIP/2.0 200 OK\r\n"));
}

}  // namespace storms
