#include <catch2/catch.hpp>

#include <algorithm>

#include "gateway.hpp"

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using discovery::PcpClient;

namespace {

net::Endpoint endpoint(const char* text) { return *net::Endpoint::parse(text); }

}  // namespace

TEST_CASE("a mapping is there after one request, and renewed between a half and five eighths of its time") {
    Line line;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 0s);
    REQUIRE(client.mapping());
    CHECK(client.mapping()->external == endpoint("5.6.7.8:51820"));
    CHECK(client.mapping()->until == line.now + 3600s);
    CHECK(client.protocol() == PcpClient::Protocol::pcp);
    CHECK(line.gateway.requests == 1);
    for (int i = 0; i < 20; ++i) {
        const auto asked = line.sent.back();
        line.run(client, client.next_deadline() - line.now);
        CHECK(line.sent.back() - asked >= 1800s);
        CHECK(line.sent.back() - asked <= 2250s);
        REQUIRE(client.mapping());
    }
    CHECK(line.gateway.requests == 21);
}

TEST_CASE("a silent gateway is asked after 3, 6, 12 s and so on up to 1024 s, for ever, and by NAT-PMP too") {
    Line line;
    line.gateway.speaks_pcp = line.gateway.speaks_nat_pmp = false;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 0s);
    CHECK_FALSE(client.in_vain());
    auto wait = net::Duration(3s);
    for (int i = 0; i < 14; ++i) {
        const auto before = line.sent.back();
        line.run(client, client.next_deadline() - line.now);
        const auto waited = line.sent.back() - before;
        CHECK(waited >= wait * 9 / 10 - wait / 5);  // a tenth of each wait before has been added up or taken off
        CHECK(waited <= net::Duration(1024s) * 11 / 10);
        if (i > 0) CHECK(client.in_vain());
        wait = std::min(net::Duration(1024s), 2 * waited);
    }
    CHECK(line.gateway.requests == 1 + 14 * 2);
    // One day it has learnt it.
    line.gateway.speaks_pcp = true;
    line.run(client, 20min);
    CHECK(client.mapping());
}

TEST_CASE("a gateway that knows only NAT-PMP is spoken to by it, whether it refuses PCP or is silent") {
    for (const bool silent : {false, true}) {
        Line line;
        line.gateway.speaks_pcp = false;
        auto client = PcpClient(line.settings(), line.random(), line.at());
        if (silent) (void)client.take_datagrams();  // PCP is never heard
        line.run(client, 5s);
        REQUIRE(client.mapping());
        CHECK(client.protocol() == PcpClient::Protocol::nat_pmp);
        CHECK(client.mapping()->external == endpoint("5.6.7.8:51820"));
        line.run(client, 24h);
        CHECK(client.mapping());
        CHECK(line.gateway.requests < 120);
        client.release(line.at());
        line.run(client, 0s);
        CHECK(client.released());
        CHECK(line.gateway.held.empty());
    }
}

TEST_CASE("over a line that loses and delays, a mapping comes and never ends") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        INFO("seed " << seed);
        Line line(seed);
        line.loss_percent = 30;
        line.longest_delay = 2s;
        line.gateway.speaks_pcp = seed % 2 == 0;
        PcpClient client(line.settings(), line.random(), line.at());
        line.run(client, 5min);
        REQUIRE(client.mapping());
        for (int hour = 0; hour < 48; ++hour) {
            line.run(client, 1h);
            REQUIRE(client.mapping());
            REQUIRE(line.gateway.maps(51820, line.now));
        }
        CHECK(line.sent.size() < 1000);
    }
}

TEST_CASE("a gateway that has begun anew maps again: at once if it says so, at the next renewal if it does not") {
    const bool pcp = GENERATE(true, false);
    Line line;
    line.gateway.speaks_pcp = pcp;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 10min);
    line.gateway.restart(line.now);
    CHECK_FALSE(line.gateway.maps(51820, line.now));
    SECTION("it says so") {
        line.announce(pcp ? line.gateway.announcement(line.now) : line.gateway.address_announcement(line.now));
        line.run(client, 5s);
        CHECK(line.gateway.maps(51820, line.now));
    }
    SECTION("it does not") {
        line.run(client, 1h);
        CHECK(line.gateway.maps(51820, line.now));
    }
}

TEST_CASE("an announcement of a gateway that has kept everything changes nothing, and a flood of lies little") {
    const bool pcp = GENERATE(true, false);
    Line line;
    line.gateway.speaks_pcp = pcp;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 10min);
    const auto announcement = [&] { return pcp ? line.gateway.announcement(line.now) : line.gateway.address_announcement(line.now); };
    const auto requests = line.gateway.requests;
    line.announce(announcement());
    line.run(client, 1min);
    CHECK(line.gateway.requests == requests);
    const auto up_since = line.gateway.up_since;
    const auto of_one_exchange = pcp ? 1U : 2U;
    SECTION("of times") {
        for (int i = 0; i < 10000; ++i) {
            line.gateway.up_since = line.now - std::chrono::seconds(line.random().below(100000));
            line.announce(announcement());
            line.gateway.up_since = up_since;
            line.run(client, 10ms);
        }
        CHECK(line.gateway.requests - requests <= of_one_exchange * (100 / 4 + 1));
    }
    SECTION("while it is silent") {
        line.loss_percent = 100;
        line.run(client, 2h);
        const auto sent = line.sent.size();
        for (int i = 0; i < 10000; ++i) {
            line.announce(announcement());
            line.run(client, 10ms);
        }
        CHECK(line.sent.size() - sent <= 2 * (100 / 4 + 1));
    }
    SECTION("one lie, and it is asked itself; that it has kept everything is believed of its own answer") {
        line.gateway.up_since = line.now;
        const auto lie = announcement();
        line.gateway.up_since = up_since;
        line.announce(lie);
        line.run(client, 5s);
        CHECK(line.gateway.requests == requests + of_one_exchange);
        line.announce(announcement());
        line.run(client, 1min);
        CHECK(line.gateway.requests == requests + of_one_exchange);
    }
}

TEST_CASE("at the port of announcements no answer to a request is heard") {
    Line line;
    const auto answer_of_pcp = net::Writer().u8(2).u8(0x81).u16be(0).u32be(600).u32be(1).zeros(12).bytes(net::Bytes(12, std::byte{7})).u8(17).zeros(3)
                                   .u16be(51820).u16be(666).zeros(10).u16be(0xffff).bytes(line.gateway.external.bytes()).take();
    const auto address = line.gateway.address_announcement(line.now);
    const auto answer_of_nat_pmp = net::Writer().u8(0).u8(129).u16be(0).u32be(1).u16be(51820).u16be(666).u32be(0xffffffff).take();
    PcpClient client(line.settings(), line.random(), line.at());
    SECTION("while it is asked") {}
    SECTION("when it has answered") { line.run(client, 1s); }
    SECTION("while NAT-PMP is spoken") {
        line.gateway.speaks_pcp = false;
        line.run(client, 1s);
        REQUIRE(client.mapping());
        line.run(client, client.next_deadline() - line.now - 1ms);
        line.loss_percent = 100;
        line.run(client, 2ms);  // it is asked for its address anew
    }
    const auto before = client.mapping();
    const auto protocol = client.protocol();
    for (const auto& lie : {answer_of_pcp, address, answer_of_nat_pmp, net::Writer().u8(0).u8(128).u16be(1).u32be(1).take()}) {
        client.announced(lie, endpoint("192.168.1.1:5351"), line.at());
    }
    CHECK(client.mapping() == before);
    CHECK(client.protocol() == protocol);
    CHECK(client.trouble().empty());
}

TEST_CASE("no mapping is believed for longer than it was asked for") {
    for (const bool pcp : {true, false}) {
        Line line;
        line.gateway.speaks_pcp = pcp;
        line.gateway.adds_s = 1000000;
        PcpClient client(line.settings(), line.random(), line.at());
        line.run(client, 1s);
        REQUIRE(client.mapping());
        CHECK(client.mapping()->until <= line.now + PcpClient::kLifetime);
    }
}

TEST_CASE("what is refused is asked for again when the gateway thinks so, within half an hour, and said in words") {
    Line line;
    line.gateway.refuses_with = 8;
    line.gateway.refusal_s = 300;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 4min);
    CHECK(client.in_vain());
    CHECK_THAT(client.trouble(), Contains("no room"));
    CHECK(line.gateway.requests == 1);
    line.run(client, 2min);
    CHECK(line.gateway.requests == 2);
    line.gateway.refusal_s = 0xffffffff;
    line.run(client, 24h);
    CHECK(line.gateway.requests >= 40);
    line.gateway.refusal_s = 0;
    line.run(client, 24h);
    CHECK(line.gateway.requests < 200);
    line.gateway.refuses_with = 0;
    line.run(client, 34min);
    CHECK(client.mapping());
    CHECK(client.trouble().empty());
}

TEST_CASE("what stands stays while a renewal is refused, and ends when it is over") {
    Line line;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 10min);
    line.gateway.refuses_with = 2;
    line.run(client, 45min);
    CHECK(client.mapping());
    CHECK_FALSE(client.trouble().empty());
    line.run(client, 6min);
    CHECK_FALSE(client.mapping());
}

TEST_CASE("who speaks another version of PCP is left alone for half an hour") {
    Line line;
    line.gateway.speaks_pcp = line.gateway.speaks_nat_pmp = false;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 0s);
    line.tell(net::Writer().u8(1).u8(0x81).u8(0).u8(1).u32be(0).u32be(5).zeros(12).take());
    line.run(client, 26min);
    CHECK(client.in_vain());
    CHECK(line.sent.size() == 1);
    CHECK_THAT(client.trouble(), Contains("another version"));
}

TEST_CASE("a gateway that lies gets no mapping and no more datagrams") {
    struct Lie {
        const char* what;
        std::uint16_t port, external_port;
        std::uint32_t lifetime_s;
        std::uint8_t nonce;
        const char* from;
    };
    for (const auto& lie : {Lie{"another port of ours", 1, 7, 60, 7, "192.168.1.1:5351"}, {"port 0", 51820, 0, 60, 7, "192.168.1.1:5351"},
                            {"over at once", 51820, 7, 0, 7, "192.168.1.1:5351"}, {"another nonce", 51820, 7, 60, 8, "192.168.1.1:5351"},
                            {"not the gateway", 51820, 7, 60, 7, "192.168.1.2:5351"}, {"not its port", 51820, 7, 60, 7, "192.168.1.1:5352"}}) {
        INFO(lie.what);
        Line line;
        PcpClient client(line.settings(), line.random(), line.at());
        (void)client.take_datagrams();
        const auto answer = net::Writer().u8(2).u8(0x81).u16be(0).u32be(lie.lifetime_s).u32be(1).zeros(12)
                                .bytes(net::Bytes(12, static_cast<std::byte>(lie.nonce))).u8(17).zeros(3).u16be(lie.port)
                                .u16be(lie.external_port).zeros(10).u16be(0xffff).bytes(line.gateway.external.bytes()).take();
        for (int i = 0; i < 100; ++i) client.receive(answer, endpoint(lie.from), line.at());
        CHECK_FALSE(client.mapping());
        CHECK(client.take_datagrams().empty());
        CHECK(client.next_deadline() > line.now);
    }
}

TEST_CASE("a mapping of a second is renewed every four seconds and no more often") {
    Line line;
    line.gateway.longest_s = 1;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 400s);
    CHECK(line.sent.size() <= 101 + 100);  // it ends in between, and is asked for anew then
}

TEST_CASE("on release the mapping is deleted, however lossy the line, and nobody waits longer than a second") {
    Line line;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 1s);
    SECTION("it answers") {
        client.release(line.at());
        line.run(client, 0s);
        CHECK(client.released());
        CHECK(line.gateway.held.empty());
    }
    SECTION("the first is lost") {
        client.release(line.at());
        (void)client.take_datagrams();
        line.run(client, 250ms);
        CHECK(client.released());
        CHECK(line.gateway.held.empty());
    }
    SECTION("it has gone") {
        line.loss_percent = 100;
        client.release(line.at());
        line.run(client, 999ms);
        CHECK_FALSE(client.released());
        line.run(client, 1ms);
        CHECK(client.released());
        CHECK(client.next_deadline() == net::kNever);
    }
}

TEST_CASE("where nobody ever answered there is nothing to release") {
    Line line;
    PcpClient client(line.settings(), line.random(), line.at());
    client.release(line.at());
    CHECK(client.released());
    CHECK(client.take_datagrams().empty());
}

TEST_CASE("a port that nobody listens at is not asked again for half an hour") {
    Line line;
    line.gateway.speaks_pcp = line.gateway.speaks_nat_pmp = false;
    PcpClient client(line.settings(), line.random(), line.at());
    line.run(client, 0s);
    client.unreachable(line.at());
    CHECK(client.in_vain());
    line.run(client, 26min);
    CHECK(line.sent.size() == 1);
    line.run(client, 8min);
    CHECK(line.sent.size() > 1);
}
