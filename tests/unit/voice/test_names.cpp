#include <catch2/catch.hpp>

#include "dns_message.hpp"
#include "voice/names.hpp"

using namespace voice;
using namespace std::chrono_literals;

namespace {

const std::string kListedNumber = "+442079460148";
const std::string kListedDomain = "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa";

/// A name server that says what the table says, or nothing at all.
struct NamesBench {
    net::SeededRandom random{1};
    Names names{NamesSettings{}, random};
    net::Now now{net::Steady(1h), net::from_unix_seconds(1700000000)};
    std::map<DnsQuestion, net::Bytes> zone;
    bool dead = false, silent = false;
    std::vector<std::string> asked;
    std::vector<DnsQuestion> held;

    NamesBench() {
        put({kListedDomain, DnsType::naptr}, [](auto& m) {
            m.naptr(kListedDomain, 60, {10, 10, "u", "E2U+sip", "!^.*$!sip:bob@example.com!", ""});
        });
        put({"_sip._udp.example.com", DnsType::srv}, [](auto& m) {
            m.srv("_sip._udp.example.com", 60, {0, 0, 5062, "sip.example.com"});
        });
        put({"sip.example.com", DnsType::a}, [](auto& m) { m.host("sip.example.com", 60, net::IpAddress::v4(192, 0, 2, 1)); });
    }
    template <class Fill>
    void put(const DnsQuestion& question, const Fill& fill) {
        DnsMessage message(question);
        fill(message);
        zone[question] = message.bytes();
    }
    void serve() {
        for (auto questions = names.take_questions(); !questions.empty(); questions = names.take_questions()) {
            for (const auto& question : questions) {
                asked.push_back(std::string(name_of(question.type)) + " " + question.name);
                if (silent) {
                    held.push_back(question);
                } else if (dead) {
                    names.unanswered(question, now);
                } else {
                    const auto known = zone.find(question);
                    names.answered(question, known != zone.end() ? known->second : DnsMessage(question, 3).soa("example", 60, 60).bytes(), now);
                }
            }
        }
    }
    std::optional<NameFound> look(const std::string& number = kListedNumber) {
        const auto id = names.find_number(number, now);
        serve();
        auto found = names.take_found();
        if (found.empty()) return std::nullopt;
        CHECK(found.size() == 1);
        CHECK(found[0].id == id);
        return found[0];
    }
    void pass(net::Duration time) {
        now.steady += time;
        now.wall += time;
        names.tick(now);
        serve();
    }
};

std::string hop(const NameFound& found) {
    return found.leads.empty() || found.leads[0].at.hops.empty() ? "" : found.leads[0].at.hops[0].endpoint.text();
}

}  // namespace

TEST_CASE("a number leads to a URI and to a place") {
    NamesBench bench;
    const auto found = bench.look();
    REQUIRE(found);
    CHECK(found->leads.at(0).uri.text() == "sip:bob@example.com");
    CHECK(hop(*found) == "192.0.2.1:5062");
    CHECK_FALSE(found->stale);
    CHECK(bench.names.next_deadline() == net::kNever);
}

TEST_CASE("a number that DNS does not know leads nowhere") {
    NamesBench bench;
    const auto found = bench.look("+4930123");
    REQUIRE(found);
    CHECK(found->leads.empty());
    CHECK(found->said.domains.at(0).kind == DnsAnswer::Kind::nothing);
}

TEST_CASE("what was asked once is not asked again until its time is over") {
    NamesBench bench;
    REQUIRE(bench.look());
    const auto before = bench.asked.size();
    bench.pass(59s);
    REQUIRE(bench.look());
    CHECK(bench.asked.size() == before);
    bench.pass(1s);
    REQUIRE(bench.look());
    CHECK(bench.asked.size() > before);
}

TEST_CASE("the last good answer is used when DNS is dead, and marked") {
    NamesBench bench;
    REQUIRE(bench.look());
    bench.dead = true;
    bench.pass(24h);
    const auto found = bench.look();
    REQUIRE(found);
    CHECK(hop(*found) == "192.0.2.1:5062");
    CHECK(found->stale);
    CHECK(found->said.domains.at(0).stale);
    CHECK(bench.names.counters().stale > 0);
    SECTION("and no longer when DNS is back") {
        bench.dead = false;
        bench.pass(31s);
        CHECK_FALSE(bench.look()->stale);
    }
    SECTION("and not for ever") {
        bench.pass(7 * 24h);
        CHECK(bench.look()->leads.empty());
    }
}

TEST_CASE("a number that was never asked for fails at once when DNS is dead") {
    NamesBench bench;
    bench.dead = true;
    const auto found = bench.look();
    REQUIRE(found);
    CHECK(found->leads.empty());
    CHECK(found->said.domains.at(0).kind == DnsAnswer::Kind::failed);
    const auto before = bench.asked.size();
    REQUIRE(bench.look());
    CHECK(bench.asked.size() == before);  // it was asked for a moment ago
}

TEST_CASE("a silent DNS is waited for once, not at each step") {
    NamesBench bench;
    REQUIRE(bench.look());
    bench.silent = true;
    bench.pass(24h);
    CHECK_FALSE(bench.look());
    CHECK(bench.names.next_deadline() == bench.now.steady + Names::kPatience);
    bench.pass(Names::kPatience);
    const auto found = bench.names.take_found();
    REQUIRE(found.size() == 1);
    CHECK(hop(found[0]) == "192.0.2.1:5062");
    CHECK(found[0].stale);
    CHECK(bench.look());  // and then not at all, for a while
}

TEST_CASE("a silent DNS that was never heard ends within the limit") {
    NamesBench bench;
    bench.silent = true;
    CHECK_FALSE(bench.look());
    bench.pass(Names::kLimit - 1ms);
    CHECK(bench.names.take_found().empty());
    bench.pass(1ms);
    REQUIRE(bench.names.take_found().size() == 1);
    CHECK(bench.names.next_deadline() == net::kNever);
}

namespace {

/// Somebody has waited in vain, and the resolver has given up.
void fall_silent(NamesBench& bench) {
    bench.silent = true;
    REQUIRE_FALSE(bench.look());
    bench.pass(Names::kPatience);
}

void give_up(NamesBench& bench) {
    for (const auto& question : std::exchange(bench.held, {})) bench.names.unanswered(question, bench.now);
}

}  // namespace

TEST_CASE("a DNS that has been silent is not waited for so long again") {
    NamesBench bench;
    fall_silent(bench);
    CHECK(bench.names.is_silent(bench.now));
    bench.pass(Names::kLimit - Names::kPatience);
    give_up(bench);
    CHECK(bench.names.take_found().size() == 1);
    CHECK_FALSE(bench.look("+4930123"));
    bench.pass(Names::kPatience);
    REQUIRE(bench.names.take_found().size() == 1);
    SECTION("until it answers something") {
        bench.names.answered(bench.held.at(0), bench.zone.begin()->second, bench.now);
        CHECK(bench.names.is_silent(bench.now));  // to another question than that
        bench.silent = false;
        CHECK(bench.look("+4930456"));
        CHECK_FALSE(bench.names.is_silent(bench.now));
        CHECK(bench.look());  // who has failed in the silence is asked for again, at once
    }
}

TEST_CASE("a silent DNS is asked again for as long as somebody may want it, and then forgotten") {
    NamesBench bench;
    fall_silent(bench);
    const auto asked_in = [&](net::Duration time) {
        const auto before = bench.asked.size();
        for (const auto end = bench.now.steady + time; bench.now.steady < end;) {
            const auto before_that = std::exchange(bench.held, {});
            bench.pass(2s);  // so long the resolver waits
            for (const auto& question : before_that) bench.names.unanswered(question, bench.now);
        }
        return bench.asked.size() - before;
    };
    const auto probes = asked_in(60s);
    CHECK(probes >= 60 / 8);
    CHECK(probes <= 60 / 5);
    CHECK(bench.names.is_silent(bench.now));
    asked_in(Names::kProbeFor);
    CHECK(asked_in(60s) == 0);
    CHECK_FALSE(bench.names.is_silent(bench.now));
    CHECK(bench.names.next_deadline() == net::kNever);
}

TEST_CASE("a silent DNS that is back is noticed though nobody calls") {
    NamesBench bench;
    fall_silent(bench);
    give_up(bench);
    bench.silent = false;
    bench.pass(Names::kProbeAfter);
    CHECK_FALSE(bench.names.is_silent(bench.now));
    CHECK(bench.names.next_deadline() == net::kNever);
}

TEST_CASE("where callers are expected a silent DNS is known before the first of them, and for as long as they are") {
    NamesBench bench;
    bench.silent = true;
    bench.names.expect_callers(true, bench.now);
    bench.names.expect_callers(true, bench.now);
    bench.serve();
    CHECK(bench.asked == std::vector<std::string>{"NAPTR e164.arpa"});
    CHECK(bench.names.next_deadline() == bench.now.steady + Names::kPatience);
    bench.pass(Names::kPatience);
    CHECK(bench.names.is_silent(bench.now));
    const auto give_up_for = [&](net::Duration time) {
        for (const auto end = bench.now.steady + time; bench.now.steady < end;) {
            const auto before = std::exchange(bench.held, {});
            bench.pass(2s);  // so long the resolver waits
            for (const auto& question : before) bench.names.unanswered(question, bench.now);
        }
    };
    give_up_for(1h);
    CHECK(bench.names.is_silent(bench.now));
    CHECK_FALSE(bench.look());
    bench.pass(Names::kPatience);
    CHECK(bench.names.take_found().size() == 1);
    bench.names.expect_callers(false, bench.now);
    give_up_for(Names::kProbeFor + 10s);
    const auto before = bench.asked.size();
    give_up_for(1min);
    CHECK(bench.asked.size() == before);
    CHECK_FALSE(bench.names.is_silent(bench.now));
}

TEST_CASE("where callers are expected a DNS that answers is asked one question, and one that numbers do not need none") {
    NamesBench bench;
    bench.names.expect_callers(true, bench.now);
    bench.serve();
    bench.pass(1h);
    CHECK(bench.asked.size() == 1);
    CHECK_FALSE(bench.names.is_silent(bench.now));
    CHECK(bench.names.next_deadline() == net::kNever);
    bench.names.expect_callers(false, bench.now);
    bench.names.expect_callers(true, bench.now);
    bench.serve();
    CHECK(bench.asked.size() == 2);
    NamesSettings settings;
    settings.suffixes.clear();
    Names without(settings, bench.random);
    without.expect_callers(true, bench.now);
    CHECK(without.take_questions().empty());
}

TEST_CASE("one who does not answer, or at once says no, is not a silent DNS") {
    NamesBench bench;
    bench.dead = true;
    REQUIRE(bench.look());
    bench.pass(Names::kPatience);
    CHECK_FALSE(bench.names.is_silent(bench.now));
    bench.dead = false;
    bench.silent = true;
    CHECK_FALSE(bench.look("+4930123"));
    bench.pass(1s);
    bench.silent = false;
    CHECK(bench.look("+4930456"));  // another is answered meanwhile
    bench.pass(1s);
    CHECK_FALSE(bench.names.is_silent(bench.now));
}

TEST_CASE("an answer that says no ends what was known") {
    NamesBench bench;
    REQUIRE(bench.look());
    bench.zone.erase({kListedDomain, DnsType::naptr});
    bench.pass(61s);
    CHECK(bench.look()->leads.empty());
    bench.dead = true;
    bench.pass(61s);
    CHECK(bench.look()->leads.empty());
}

TEST_CASE("two who ask the same are one question") {
    NamesBench bench;
    bench.silent = true;
    bench.names.find_number(kListedNumber, bench.now);
    bench.names.find_number(kListedNumber, bench.now);
    bench.serve();
    CHECK(bench.asked.size() == 1);
    bench.silent = false;
    for (const auto& question : std::exchange(bench.held, {})) bench.names.answered(question, bench.zone[question], bench.now);
    bench.serve();
    CHECK(bench.names.take_found().size() == 2);
}

TEST_CASE("answers that nobody asked for are not kept") {
    NamesBench bench;
    for (const auto& [question, message] : bench.zone) bench.names.answered(question, message, bench.now);
    bench.dead = true;
    CHECK(bench.look()->leads.empty());
}

TEST_CASE("a broken answer is no answer") {
    NamesBench bench;
    bench.zone[{kListedDomain, DnsType::naptr}].resize(20);
    const auto found = bench.look();
    REQUIRE(found);
    CHECK(found->said.domains.at(0).kind == DnsAnswer::Kind::failed);
}

TEST_CASE("queries and answers are bounded") {
    net::SeededRandom random(1);
    NamesSettings settings;
    settings.max_queries = 4;
    Names names(settings, random);
    const net::Now now{net::Steady(1h), net::Wall(1h)};
    for (unsigned i = 0; i < 4; ++i) CHECK(names.find_number("+49" + std::to_string(i), now) != 0);
    CHECK(names.find_number("+495", now) == 0);
    CHECK(names.counters().refused == 1);

    DnsCache cache(10);
    DnsAnswer answer;
    answer.kind = DnsAnswer::Kind::nothing;
    answer.ttl = 1h;
    for (unsigned i = 0; i < 100; ++i) {
        cache.put({"n" + std::to_string(i), DnsType::a}, answer, now);
        cache.look({"n0", DnsType::a}, now);
    }
    CHECK(cache.size() == 10);
    CHECK(cache.look({"n0", DnsType::a}, now).answer != nullptr);  // used all the time
    CHECK(cache.look({"n50", DnsType::a}, now).answer == nullptr);
}

TEST_CASE("what DNS said before a restart still routes when it is dead after it") {
    NamesBench before;
    REQUIRE(before.look());
    const auto learnt = before.names.take_learnt();
    REQUIRE(learnt.size() >= 3);
    CHECK(before.names.take_learnt().empty());

    NamesBench after;
    after.now.wall = before.now.wall + 24h;
    for (const auto& one : learnt) after.names.restore(one.question, one.message, before.now.wall, after.now);
    after.dead = true;
    const auto found = after.look();
    REQUIRE(found);
    CHECK(hop(*found) == "192.0.2.1:5062");
    CHECK(found->stale);

    NamesBench late;  // for a week, and no longer
    late.now.wall = before.now.wall + 8 * 24h;
    for (const auto& one : learnt) late.names.restore(one.question, one.message, before.now.wall, late.now);
    late.names.restore({"x.example", DnsType::a}, net::as_bytes("nonsense"), late.now.wall, late.now);
    late.dead = true;
    REQUIRE(late.look());
    CHECK(late.look()->leads.empty());
}
