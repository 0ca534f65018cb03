#include "meshd/dns_service.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "fake_resolved.hpp"
#include "meshd/resolved.hpp"
#include "tests/unit/mesh/mesh_in_memory.hpp"
#include "tests/unit/tun/own_network.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

/// What is logged while this lives.
class Log {
public:
    Log() : before_(spdlog::default_logger()) {
        spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(text_)));
    }
    ~Log() { spdlog::set_default_logger(before_); }
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    std::size_t count(std::string_view words) const {
        const auto text = text_.str();
        std::size_t out = 0;
        for (auto at = text.find(words); at != text.npos; at = text.find(words, at + 1)) ++out;
        return out;
    }

private:
    std::ostringstream text_;
    std::shared_ptr<spdlog::logger> before_;
};

constexpr std::uint32_t kLoopback = 1;

/// A DNS server whose one address in the overlay is this machine's.
struct Bench {
    Bench() {
        watchdog.after(20s);
        test::set_address("lo:1", here().text().c_str(), "255.255.255.255");
    }
    net::IpAddress here() const {
        const auto& all = node.self().says.addresses;
        return *std::find_if(all.begin(), all.end(), [](const auto& address) { return address.is_v4(); });
    }
    void start() { service = std::make_unique<meshd::DnsService>(loop, config, node, kLoopback); }
    void run_until(const std::function<bool()>& done) {
        if (fake) fake->serve();
        while (!done()) {
            loop.run_once();
            if (fake) fake->serve();
        }
    }
    /// Whether an answer comes to a question by UDP.
    bool answers() {
        bool came = false;
        loop::UdpSocket socket(loop, {here(), 0, 0}, loop::UdpSocket::Events{[&](const loop::Received&) { came = true; }, {}});
        net::Writer question;
        question.u16be(7).u16be(0).u16be(1).zeros(6);
        question.u8(4).bytes(net::as_bytes("acme")).u8(8).bytes(net::as_bytes("internal")).u8(0).u16be(6).u16be(1);
        socket.send({here(), config.dns.port, 0}, question.view());
        run_until([&] { return came; });
        return came;
    }
    void add_user(const std::string& aor, const std::string& number) {
        UserRequest request;
        request.aor = aor;
        request.numbers = {number};
        REQUIRE(node.put_user(request, network.now()));
    }

    Network network{1};
    Node& node = *network.create("trento").node;
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 20 s"); }};
    meshd::Config config;
    std::optional<test::FakeResolved> fake;
    std::unique_ptr<meshd::DnsService> service;
};

}  // namespace

TEST_CASE("numbers are made anew when users change, and not when offices come and go") {
    if (!test::enter_own_network()) return;
    Bench bench;
    bench.config.dns.resolved = false;
    bench.start();
    bench.add_user("alice@acme.internal", "+442079460148");
    bench.service->changed(true);
    const auto* numbers = &bench.service->zones().numbers();
    CHECK(*numbers == dns::Numbers{{"442079460148", "alice@acme.internal"}});
    bench.service->changed(false);
    CHECK(&bench.service->zones().numbers() == numbers);
    bench.add_user("bob@acme.internal", "+442079460149");
    bench.service->changed(true);
    bench.run_until([&] { return bench.service->zones().numbers().size() == 2; });
    CHECK(bench.answers());
    CHECK(bench.service->counts()[static_cast<std::size_t>(dns::Outcome::answered)] == 1);
}

TEST_CASE("a systemd-resolved that refuses is told of in the log once, and DNS is answered all the same") {
    if (!test::enter_own_network()) return;
    test::PrivateBus bus;
    Bench bench;
    bench.fake.emplace(bench.loop);
    bench.fake->refuses = {"SetLinkDomains"};
    Log log;
    bench.start();
    bench.run_until([&] { return bench.service->resolved()->state() == meshd::Resolved::State::refused; });
    const auto words = "systemd-resolved does not let this node tell it the mesh's names: SetLinkDomains is not for you";
    CHECK(log.count(words) == 1);
    bench.run_until([&] { return bench.fake->was_called("RevertLink"); });
    CHECK(bench.answers());
    bus.end();
    bench.run_until([&] { return bench.service->resolved()->state() == meshd::Resolved::State::absent; });
    CHECK(bench.answers());
    CHECK(log.count("systemd-resolved") == 1);
}

TEST_CASE("a bus that is lost is told of in the log, and DNS is answered all the same") {
    if (!test::enter_own_network()) return;
    test::PrivateBus bus;
    Bench bench;
    bench.fake.emplace(bench.loop);
    Log log;
    bench.start();
    bench.run_until([&] { return bench.service->resolved()->state() == meshd::Resolved::State::told; });
    CHECK(log.count("systemd-resolved asks here for acme.internal") == 1);
    bus.end();
    bench.run_until([&] { return bench.service->resolved()->state() == meshd::Resolved::State::absent; });
    CHECK(log.count("systemd-resolved does not ask here for acme.internal any more: the connection to D-Bus has ended") == 1);
    CHECK(log.count("does not let") == 0);
    CHECK(bench.answers());
}
