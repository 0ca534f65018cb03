#include "meshd/resolved.hpp"

#include <catch2/catch.hpp>

#include "fake_resolved.hpp"
#include "loop/timer.hpp"

using meshd::Resolved;
using namespace std::chrono_literals;

namespace {

struct ResolvedBench {
    ResolvedBench() { watchdog.after(20s); }
    void run_until(const std::function<bool()>& done) {
        fake.serve();
        while (!done()) {
            loop.run_once();
            fake.serve();
        }
    }
    Resolved& tell() {
        told = std::make_unique<Resolved>(loop, 7, [this] { ++changed; });
        told->want({{*net::IpAddress::parse("10.87.0.1"), *net::IpAddress::parse("fd00:1:2::1")}, 53, {"acme.internal", "87.10.in-addr.arpa"}});
        return *told;
    }
    bool is(Resolved::State state) const { return told->state() == state; }

    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 20 s"); }};
    test::PrivateBus bus;
    test::FakeResolved fake{loop};
    unsigned changed = 0;
    std::unique_ptr<Resolved> told;
};

}  // namespace

TEST_CASE("systemd-resolved is told of the servers when all else holds, and all is taken back at the end") {
    ResolvedBench bench;
    bench.tell();
    bench.run_until([&] { return bench.is(Resolved::State::told); });
    REQUIRE(bench.fake.calls.size() == 7);
    CHECK(bench.fake.calls.back() == "SetLinkDNS");
    for (const auto* method : {"SetLinkDomains", "SetLinkDefaultRoute", "SetLinkDNSOverTLS", "SetLinkDNSSEC", "SetLinkLLMNR", "SetLinkMulticastDNS"}) {
        CHECK(bench.fake.was_called(method));
    }
    CHECK_FALSE(bench.fake.was_called("RevertLink"));
    bench.told.reset();
    bench.run_until([&] { return bench.fake.was_called("RevertLink"); });
}

TEST_CASE("a systemd-resolved that refuses some of it is told to forget all of it") {
    const std::string method = GENERATE("SetLinkDefaultRoute", "SetLinkDomains", "SetLinkDNSSEC", "SetLinkDNS");
    ResolvedBench bench;
    bench.fake.refuses = {method};
    auto& resolved = bench.tell();
    bench.run_until([&] { return bench.is(Resolved::State::refused) && bench.fake.was_called("RevertLink"); });
    CHECK(resolved.why() == method + " is not for you");
    CHECK(bench.fake.calls.back() == "RevertLink");
    CHECK(bench.fake.was_called("SetLinkDNS") == (method == "SetLinkDNS"));  // never servers without domains
    // Another wish is tried at once.
    bench.fake.refuses.clear();
    bench.told->want({{*net::IpAddress::parse("10.87.0.1")}, 53, {"acme.internal"}});
    bench.run_until([&] { return bench.is(Resolved::State::told); });
}

TEST_CASE("a bus that is lost while systemd-resolved is asked, or was told, is told as such, and nothing else ends") {
    const bool asked = GENERATE(true, false);
    ResolvedBench bench;
    if (asked) bench.fake.silent_on = {"SetLinkDomains"};
    auto& resolved = bench.tell();
    bench.run_until([&] { return asked ? bench.fake.was_called("SetLinkDomains") : bench.is(Resolved::State::told); });
    const auto before = bench.changed;
    bench.bus.end();
    while (!bench.is(Resolved::State::absent)) bench.loop.run_once();
    CHECK(resolved.why() == "the connection to D-Bus has ended");
    CHECK(bench.changed == before + 1);  // it is no refusal, too
    resolved.want({{}, 53, {}});
    bool went_on = false;
    loop::Timer later(bench.loop, [&] { went_on = true; });
    later.after(1ms);
    while (!went_on) bench.loop.run_once();
    CHECK(bench.is(Resolved::State::absent));
}

TEST_CASE("a systemd-resolved that ends is missed, and told anew when it is back") {
    ResolvedBench bench;
    auto& resolved = bench.tell();
    bench.run_until([&] { return bench.is(Resolved::State::told); });
    bench.fake.vanish();
    bench.run_until([&] { return bench.is(Resolved::State::absent); });
    CHECK(resolved.why() == "it does not run here");
    bench.fake.calls.clear();
    bench.fake.appear();
    bench.run_until([&] { return bench.is(Resolved::State::told); });
    CHECK(bench.fake.calls.back() == "SetLinkDNS");
}

TEST_CASE("a node that answers no DNS in the overlay any more takes back what systemd-resolved was told") {
    ResolvedBench bench;
    auto& resolved = bench.tell();
    bench.run_until([&] { return bench.is(Resolved::State::told); });
    resolved.want({});
    bench.run_until([&] { return bench.is(Resolved::State::absent) && bench.fake.was_called("RevertLink"); });
    CHECK(resolved.why() == "no DNS is answered in the overlay");
}
