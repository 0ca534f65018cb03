#include <catch2/catch.hpp>
#include <map>

#include "loop/resolver.hpp"
#include "loop/upstream_servers.hpp"
#include "loop/timer.hpp"
#include "loop/udp.hpp"

using namespace std::chrono_literals;
using net::Endpoint;
using net::IpAddress;

namespace {

/// A name server on loopback for exactly the names it is given; for others NXDOMAIN; silent if told so.
class NameServer {
public:
    explicit NameServer(loop::Loop& loop)
        : socket_(loop, *Endpoint::parse("127.0.0.1:0"),
                  {.received = [this](const loop::Received& query) { answer(query); }, .undelivered = {}}) {}

    Endpoint local() const { return socket_.local(); }
    std::map<std::string, std::vector<IpAddress>> names;
    bool silent = false;
    int asked = 0;

private:
    void answer(const loop::Received& query) {
        ++asked;
        if (silent) return;
        net::Reader reader(query.bytes);
        const auto id = reader.u16be();
        reader.bytes(10);
        const auto question_start = reader.rest();
        std::string name;
        for (auto size = reader.u8(); size != 0 && reader.ok(); size = reader.u8()) {
            name += (name.empty() ? "" : ".") + std::string(net::as_text(reader.bytes(size)));
        }
        const auto type = reader.u16be();
        reader.u16be();
        REQUIRE(reader.ok());
        const auto question = question_start.first(question_start.size() - reader.left());
        std::vector<IpAddress> found;
        for (const auto& address : names[name]) {
            if (address.is_v6() == (type == 28)) found.push_back(address);
        }
        net::Writer out;
        out.u16be(id).u16be(names[name].empty() ? 0x8183 : 0x8180).u16be(1);
        out.u16be(static_cast<std::uint16_t>(found.size())).u16be(0).u16be(0).bytes(question);
        for (const auto& address : found) {
            out.u16be(0xc00c).u16be(type).u16be(1).u32be(address.is_v6() ? 200 : 100);
            out.u16be(static_cast<std::uint16_t>(address.bytes().size())).bytes(address.bytes());
        }
        socket_.send(query.from, out.view());
    }

    loop::UdpSocket socket_;
};

struct ResolverBench {
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    NameServer server{loop};
    loop::Resolver resolver{loop, {.servers = {server.local()}, .timeout = 100ms, .tries = 1}};

    ResolverBench() { watchdog.after(10s); }
    net::Result<net::Bytes> ask(const std::string& name, std::uint16_t type) {
        std::optional<net::Result<net::Bytes>> result;
        resolver.ask(name, type, [&](net::Result<net::Bytes> answer) {
            result = std::move(answer);
            loop.stop();
        });
        CHECK_FALSE(result);
        loop.run();
        REQUIRE(result);
        return *result;
    }
    net::Result<loop::Addresses> resolve(const std::string& name) {
        std::optional<net::Result<loop::Addresses>> result;
        resolver.resolve(name, [&](net::Result<loop::Addresses> answer) {
            result = std::move(answer);
            loop.stop();
        });
        CHECK_FALSE(result);
        loop.run();
        REQUIRE(result);
        return *result;
    }
};

}  // namespace

TEST_CASE("a name gives its IPv4 and IPv6 addresses and how long they hold") {
    ResolverBench f;
    f.server.names["hq.example"] = {*IpAddress::parse("192.0.2.7"), *IpAddress::parse("2001:db8::7")};
    const auto found = f.resolve("hq.example");
    REQUIRE(found);
    CHECK(found->addresses.size() == 2);
    CHECK(std::ranges::count(found->addresses, *IpAddress::parse("192.0.2.7")) == 1);
    CHECK(std::ranges::count(found->addresses, *IpAddress::parse("2001:db8::7")) == 1);
    CHECK(found->ttl == 100s);
}

TEST_CASE("a name with one family only is found too") {
    ResolverBench f;
    f.server.names["four.example"] = {*IpAddress::parse("192.0.2.7")};
    f.server.names["six.example"] = {*IpAddress::parse("2001:db8::7")};
    CHECK(f.resolve("four.example")->addresses.size() == 1);
    CHECK(f.resolve("six.example")->addresses.size() == 1);
}

TEST_CASE("an unknown name, a silent server and a dead server are errors that name the name") {
    ResolverBench f;
    CHECK_THAT(f.resolve("nowhere.example").error().message, Catch::Contains("no such name: nowhere.example"));
    f.server.silent = true;
    CHECK_THAT(f.resolve("late.example").error().message, Catch::Contains("no name server answers for late.example"));
    Endpoint closed;
    { closed = loop::Datagram::open(*Endpoint::parse("127.0.0.1:0"))->local(); }
    loop::Resolver dead(f.loop, {.servers = {closed}, .timeout = 100ms, .tries = 1});
    std::string message;
    dead.resolve("dead.example", [&](const net::Result<loop::Addresses>& answer) {
        message = answer ? "found" : answer.error().message;
        f.loop.stop();
    });
    f.loop.run();
    CHECK_THAT(message, Catch::Contains("no name server answers for dead.example"));
}

TEST_CASE("an address as text is answered without asking anybody") {
    ResolverBench f;
    CHECK(f.resolve("2001:db8::1")->addresses == std::vector{*IpAddress::parse("2001:db8::1")});
    CHECK(f.server.asked == 0);
}

TEST_CASE("a resolver that goes does not call back, and may go in a callback") {
    ResolverBench f;
    f.server.names["hq.example"] = {*IpAddress::parse("192.0.2.7")};
    auto resolver = std::make_unique<loop::Resolver>(f.loop, loop::Resolver::Options{.servers = {f.server.local()}});
    int called = 0;
    resolver->resolve("hq.example", [&](const auto&) {
        ++called;
        resolver.reset();
        f.loop.stop();
    });
    resolver->resolve("hq.example", [&](const auto&) { ++called; });
    f.loop.run();
    CHECK(f.resolve("hq.example"));
    CHECK(called == 1);
}

TEST_CASE("a question of any type has the whole message as its answer") {
    ResolverBench f;
    f.server.names["hq.example"] = {*IpAddress::parse("192.0.2.7")};
    const auto found = f.ask("hq.example", 1);
    REQUIRE(found);
    const net::Bytes end{std::byte{192}, std::byte{0}, std::byte{2}, std::byte{7}};
    REQUIRE(found->size() > 12 + 4);
    CHECK(net::Bytes(found->end() - 4, found->end()) == end);

    // What is not there is an answer too: it says for how long.
    const auto other = f.ask("hq.example", 35);
    REQUIRE(other);
    const auto nothing = f.ask("nowhere.example", 35);
    REQUIRE(nothing);
    CHECK((std::to_integer<unsigned>((*nothing)[3]) & 0xf) == 3);
}

TEST_CASE("a question that nobody answers is an error, and so is a name that cannot be asked for") {
    ResolverBench f;
    f.server.silent = true;
    CHECK_THAT(f.ask("late.example", 35).error().message, Catch::Contains("no name server answers for late.example"));
    CHECK_FALSE(f.ask(std::string(100, 'a') + ".example", 35));
}

TEST_CASE("of a list of name servers those count that are elsewhere, and the first few") {
    const auto found = [](const char* text) {
        std::string out;
        for (const auto& address : loop::upstream_servers(text)) out += (out.empty() ? "" : " ") + address.text();
        return out;
    };
    CHECK(found("") == "");
    CHECK(found("# nameserver 192.0.2.1\nnameserver 192.0.2.2") == "192.0.2.2");
    CHECK(found("search example\nnameserver\t192.0.2.1  # one\r\n  nameserver 2001:db8::1\nnameserver 192.0.2.1\n") ==
          "192.0.2.1 2001:db8::1");
    CHECK(found("nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver fe80::1\nnameserver 0.0.0.0\n"
                "nameserver\nnameserver x\nnameservers 192.0.2.1\n") == "");
    CHECK(found("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n") ==
          "192.0.2.1 192.0.2.2 192.0.2.3");
}
