#include <catch2/catch.hpp>

#include "meshd/saved_answers.hpp"

using namespace std::chrono_literals;
using meshd::SavedAnswers;

namespace {

const auto kNow = net::from_unix_seconds(1'700'000'000);
net::ByteView bytes(std::string_view text) { return net::as_bytes(text); }

}  // namespace

TEST_CASE("what name servers said is there again after a restart, with its time") {
    const voice::DnsQuestion question{"8.4.1.e164.arpa", voice::DnsType::naptr};
    SavedAnswers before;
    auto store = before.keep(question, bytes("an answer"), kNow);
    REQUIRE(store.size() == 1);
    store["dns:35"] = net::copy(bytes("nonsense"));
    store["dns:35:x"] = net::copy(bytes("\x02 of a later version"));
    store["dns:99:y"] = store.begin()->second;
    store["phone:dns"] = net::copy(bytes("another's"));
    SavedAnswers after;
    const auto saved = after.restore(store);
    REQUIRE(saved.size() == 1);
    CHECK(saved[0].question == question);
    CHECK(net::as_text(saved[0].message) == "an answer");
    CHECK(saved[0].at == kNow);
    // Soon again, it is not written again.
    CHECK(after.keep(question, bytes("the same"), kNow + 5min).empty());
    CHECK(after.keep(question, bytes("another"), kNow + 10min).size() == 1);
}

TEST_CASE("of too many answers the oldest are deleted, and long ones are not kept") {
    SavedAnswers answers;
    for (std::size_t i = 0; i < SavedAnswers::kMax; ++i) {
        const voice::DnsQuestion question{std::to_string(i) + ".example", voice::DnsType::a};
        REQUIRE(answers.keep(question, bytes("x"), kNow + std::chrono::seconds(i)).size() == 1);
    }
    const auto written = answers.keep({"one.more.example", voice::DnsType::a}, bytes("x"), kNow + 1h);
    REQUIRE(written.size() == 2);
    CHECK(written.at("dns:1:0.example").empty());
    CHECK(answers.keep({"long.example", voice::DnsType::a}, net::Bytes(5000), kNow).empty());
}
