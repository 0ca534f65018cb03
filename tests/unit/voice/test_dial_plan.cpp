#include <catch2/catch.hpp>

#include "net/random.hpp"
#include "voice/dial_plan.hpp"

using voice::DialPlan;
using voice::DialPlanSettings;

namespace {

DialPlanSettings london() {
    DialPlanSettings settings;
    settings.country = "44";
    settings.area = "207";
    settings.site = "442079460";
    settings.min_extension_digits = 3;
    settings.max_extension_digits = 4;
    return settings;
}

std::string digits(net::Random& random, std::size_t count, bool first_not_zero = false) {
    std::string out;
    while (out.size() < count) out += static_cast<char>('0' + random.below(10));
    if (first_not_zero && !out.empty() && out[0] == '0') out[0] = '7';
    return out;
}

}  // namespace

TEST_CASE("one number dialled in every way is one number") {
    const DialPlan plan(london());
    for (const auto* dialled : {"+442079460148", "+44-207-9460-148", "+44 (207) 9460148", "00442079460148", "02079460148", "0207 946 0148",
                                "9460148"}) {
        INFO(dialled);
        CHECK(plan.e164(dialled) == "+442079460148");
        CHECK(plan.extension(dialled) == "148");
    }
    CHECK(plan.extension("148") == "148");
    CHECK_FALSE(plan.e164("148"));
    CHECK_FALSE(plan.extension("+442079461148"));
    CHECK_FALSE(plan.extension("14"));
}

TEST_CASE("where the area is dialled always it is kept whole") {
    DialPlanSettings italy;
    italy.country = "39";
    italy.national_prefix = "";
    const DialPlan plan(italy);
    CHECK(plan.e164("0461 000201") == "+390461000201");
    CHECK(plan.e164("00390461000201") == "+390461000201");
    CHECK(plan.e164("+390461000201") == "+390461000201");
}

TEST_CASE("a prefix fetches a line before all else") {
    auto settings = london();
    settings.outside_prefix = "9";
    const DialPlan plan(settings);
    CHECK(plan.e164("902079460148") == "+442079460148");
    CHECK(plan.e164("900442079460148") == "+442079460148");
    CHECK(plan.e164("99460148") == "+442079460148");
    CHECK(plan.e164("+442079460148") == "+442079460148");
    CHECK_FALSE(plan.e164("02079460148"));
    CHECK(plan.extension("911") == "911");
}

TEST_CASE("without a plan only whole numbers and extensions are understood") {
    const DialPlan plan;
    CHECK(plan.e164("+390461000201") == "+390461000201");
    CHECK(plan.e164("00390461000201") == "+390461000201");
    CHECK_FALSE(plan.e164("0461000201"));
    CHECK(plan.extension("201") == "201");
    for (const auto* none : {"", "bob", "+", "*72", "1234567", "+0123", "201x", "+12345678901234567"}) {
        INFO(none);
        CHECK_FALSE(plan.e164(none));
    }
}

TEST_CASE("the names of what was dialled begin with it") {
    const DialPlan plan(london());
    CHECK(plan.names_of("148") == std::vector<std::string>{"148", "+442079460148"});
    CHECK(plan.names_of("0207 9460148") ==
          std::vector<std::string>{"0207 9460148", "02079460148", "+442079460148", "148"});
    CHECK(plan.names_of("bob") == std::vector<std::string>{"bob"});
}

TEST_CASE("plans that contradict themselves are told so") {
    CHECK(london().fault().empty());
    CHECK(DialPlanSettings{}.fault().empty());
    const auto broken = [](auto change) {
        auto settings = london();
        change(settings);
        return !settings.fault().empty();
    };
    CHECK(broken([](auto& s) { s.country = "+44"; }));
    CHECK(broken([](auto& s) { s.country = "044"; }));
    CHECK(broken([](auto& s) { s.country = "1234"; }));
    CHECK(broken([](auto& s) { s.country = ""; }));
    CHECK(broken([](auto& s) { s.min_extension_digits = 5; }));
    CHECK(broken([](auto& s) { s.min_extension_digits = 0; }));
    CHECK(broken([](auto& s) { s.site = "4420794601234"; }));
}

TEST_CASE("for any plan the ways to dial a number agree, and what is E.164 stays as it is") {
    net::SeededRandom random(11);
    for (unsigned round = 0; round < 5000; ++round) {
        INFO("round " << round);
        DialPlanSettings settings;
        settings.country = digits(random, 1 + random.below(3), true);
        settings.area = digits(random, random.below(4), true);
        settings.national_prefix = random.below(4) == 0 ? "" : "0";
        settings.max_extension_digits = 2 + static_cast<unsigned>(random.below(3));
        REQUIRE(settings.fault().empty());
        const DialPlan plan(settings);
        const auto national = digits(random, 6 + random.below(6), true);
        const auto whole = "+" + settings.country + national;
        REQUIRE(plan.e164(whole) == whole);
        REQUIRE(plan.e164("00" + settings.country + national) == whole);
        REQUIRE(plan.e164(settings.national_prefix + national) == whole);
        const auto local = digits(random, 6, true);
        if (!settings.area.empty() && !settings.national_prefix.empty()) {
            REQUIRE(plan.e164(local) == "+" + settings.country + settings.area + local);
        }
    }
}

TEST_CASE("whatever is dialled, what comes out is E.164 or nothing, and means itself") {
    net::SeededRandom random(12);
    const std::string_view alphabet = "0123456789+-. ()*#a\x80";
    auto settings = london();
    for (unsigned round = 0; round < 50000; ++round) {
        settings.outside_prefix = random.below(2) == 0 ? "9" : "";
        const DialPlan plan(settings);
        std::string dialled;
        for (auto left = random.below(20); left > 0; --left) dialled += alphabet[random.below(alphabet.size())];
        if (const auto number = plan.e164(dialled)) {
            REQUIRE(voice::parse_e164(*number) == *number);
            REQUIRE(plan.e164(*number) == *number);
        }
        if (const auto extension = plan.extension(dialled)) {
            REQUIRE((extension->size() >= 3 && extension->size() <= 4));
            REQUIRE(plan.extension(*extension) == *extension);
        }
        REQUIRE(plan.names_of(dialled).front() == dialled);
    }
}
