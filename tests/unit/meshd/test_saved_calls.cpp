#include "meshd/saved_calls.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "meshd/cbor_writer.hpp"
#include "net/random.hpp"

using namespace std::chrono_literals;

namespace {

voice::CallRecord record() {
    voice::CallRecord out;
    out.number = 1'700'000'000'123;
    out.id = "a@b";
    out.from = "alice@acme.example";
    out.to = "bob@acme.example";
    out.path = "mesh";
    out.node = "trento";
    out.other = "munich";
    out.our_end = net::Endpoint::parse("10.99.0.1:20006");
    out.far_end = net::Endpoint::parse("[fd00::2]:20010");
    out.started = net::Wall(1'700'000'000s + 250ms);
    out.rang = out.started + 1s;
    out.answered = out.started + 2s;
    out.ended = out.seen = out.started + 60s;
    out.why = "486 Busy Here";
    out.status = 486;
    out.audio = "no audio from \xff";
    out.streams = {{"audio", {1, 2, 3, 4, 5.25, 60}, {7, 8, 9, 10, 0.5, 12}}, {"video", {}, {}}};
    return out;
}

}  // namespace

TEST_CASE("a call's record is read as it was written, by the store and by other nodes") {
    auto it = record();
    CHECK(meshd::saved_call(meshd::to_value(it)) == it);
    it.rang = it.answered = it.ended = std::nullopt;
    it.our_end = it.far_end = std::nullopt;
    CHECK(meshd::saved_call(meshd::to_value(it)) == it);
    it.audio.clear();  // text in JSON is UTF-8
    CHECK(meshd::accounts_of(meshd::accounts_text({it, it})) == std::vector{it, it});
    CHECK(meshd::accounts_of(meshd::accounts_text({record()})).size() == 1);
    CHECK(meshd::name_of_saved_call(9) < meshd::name_of_saved_call(10));
}

TEST_CASE("the store is told all of a call that other nodes are told") {
    auto it = record();
    it.audio.clear();
    const auto value = meshd::to_value(it);
    CHECK(nlohmann::json::from_cbor(net::u8(value), net::u8(value) + value.size()) == meshd::call_json(it));
}

TEST_CASE("CBOR is written as its readers read it, however large the number or long the text") {
    for (const std::uint64_t size : {0ULL, 23ULL, 24ULL, 255ULL, 256ULL, 65535ULL, 65536ULL, 0xffff'ffffULL, 0x1'0000'0000ULL, ~0ULL}) {
        const std::string text(size <= 65536 ? size : 1, 'x');
        meshd::CborWriter out;
        out.map(2).text("list").array(4).number(size).text(text).null().real(0.1).text("more").array(30);
        for (unsigned i = 0; i < 30; ++i) out.number(i);
        const auto bytes = out.take();
        const auto read = nlohmann::json::from_cbor(net::u8(bytes), net::u8(bytes) + bytes.size());
        CHECK(read["list"] == nlohmann::json::array({size, text, nullptr, 0.1}));
        CHECK(read["more"].size() == 30);
    }
}

TEST_CASE("more accounts than a datagram holds are not told") {
    const std::vector many(1000, record());
    const auto text = meshd::accounts_text(many);
    CHECK(text.size() <= 60001);
    CHECK(meshd::accounts_of(text).size() > 30);
}

TEST_CASE("what is no record is none, whatever it is") {
    for (const auto* text : {"", "{}", "[[[[", "[1, null, {}, \"x\"]", R"([{"number":"1","id":1}])", R"([{"number":1,"id":"a","started":1e300}])",
                             R"([{"number":1,"id":"a","started":-1}])"}) {
        INFO(text);
        CHECK(meshd::accounts_of(text).empty());
    }
    CHECK(meshd::accounts_of(R"([{"number":1,"id":"a","started":5,"streams":[1,{"kind":2,"from_caller":[]}],"status":"x"}])").size() == 1);
    net::SeededRandom random(1);
    const auto good = meshd::to_value(record());
    for (int i = 0; i < 20000; ++i) {
        auto bytes = good;
        for (auto changes = random.below(4); changes-- > 0;) bytes[random.below(bytes.size())] = static_cast<std::byte>(random.u64());
        if (random.below(4) == 0) bytes.resize(random.below(bytes.size()));
        meshd::saved_call(bytes);
    }
}

TEST_CASE("of an answered call without figures it is said that its media goes direct, and is not measured here") {
    voice::CallRecord call;
    CHECK(meshd::shown_json(call)["media"] == "");
    CHECK(meshd::shown_json(call)["not_measured"] == "");
    call.answered = call.started;
    CHECK(meshd::shown_json(call)["media"] == "direct");
    CHECK(meshd::shown_json(call)["not_measured"] == "media direct: not measured here");
    call.streams.push_back({"audio", {}, {}});
    CHECK(meshd::shown_json(call)["media"] == "anchored");
    CHECK(meshd::shown_json(call)["not_measured"] == "");
}
