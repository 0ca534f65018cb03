/// Hundreds of calls a second around the moment in which the centre falls silent: whoever is on his way through it then
/// hears ring-back soon, wherever his INVITE and its answers were.
#include <catch2/catch.hpp>

#include "tests/unit/voice/offices.hpp"

using namespace test;

namespace {

/// Phones of trento call phones of trento and of munich, each its own: 200 calls a second.
struct Rush : Scene {
    static constexpr unsigned kCalls = 120;
    static constexpr auto kEvery = 5ms;

    explicit Rush(std::uint64_t seed) : Scene(seed) {
        world.delay = std::chrono::milliseconds(4 + seed % 12);
        for (unsigned i = 0; i < kCalls; ++i) {
            const auto n = std::to_string(i);
            auto& at = i % 2 == 0 ? trento : munich;
            add(callers, "caller" + n, "trento", trento, static_cast<std::uint8_t>(20 + i));
            add(callees, "callee" + n, i % 2 == 0 ? "trento" : "munich", at, static_cast<std::uint8_t>(i % 2 == 0 ? 140 + i / 2 : 20 + i));
            // Some pick up at once, some let it ring.
            callees.back()->answer_after = world.random.below(2) == 0 ? 1ms : 3s;
        }
        register_all();
        for (auto& phone : callers) phone->register_now();
        for (auto& phone : callees) phone->register_now();
        world.run(3s);
    }
    void add(std::vector<std::unique_ptr<Phone>>& to, const std::string& user, const std::string& node, Office& office, std::uint8_t i) {
        to.push_back(std::make_unique<Phone>(world, user, office.phone(i), office.lan()));
        roster.add_user(user, node);
        centre.passwords[user] = "secret";
    }
    /// The longest that one of them waited; all of them call, and `happens` comes to pass in their midst.
    net::Duration longest(const std::function<void()>& happens) {
        std::vector<net::Steady> began;
        world.run(std::chrono::microseconds(world.random.below(2'000'000)));  // wherever its probes are
        for (unsigned i = 0; i < kCalls; ++i) {
            if (i == kCalls / 2) {
                world.run(std::chrono::microseconds(world.random.below(5000)));
                happens();
            }
            began.push_back(world.now.steady);
            callers[i]->call("sip:callee" + std::to_string(i) + "@acme.example");
            world.run(kEvery);
        }
        world.run(12s);
        net::Duration out{};
        for (unsigned i = 0; i < kCalls; ++i) {
            const auto rang = std::min(callers[i]->first("INVITE", 180).value_or(net::kNever), callers[i]->first("INVITE", 200).value_or(net::kNever));
            const auto waited = rang == net::kNever ? net::Duration(1h) : rang - began[i];
            UNSCOPED_INFO("call " << i << " waited " << std::chrono::duration_cast<std::chrono::milliseconds>(waited).count() << " ms");
            out = std::max(out, waited);
        }
        return out;
    }

    std::vector<std::unique_ptr<Phone>> callers, callees;
};

#ifdef __OPTIMIZE__
constexpr std::uint64_t kSeeds = 20;
#else
constexpr std::uint64_t kSeeds = 3;  // what is built without optimisation, for the sanitizers, takes fifteen times as long
#endif

}  // namespace

TEST_CASE("whoever calls while the centre falls silent hears ring-back within about a second") {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        CAPTURE(seed);
        Rush rush(seed);
        const auto waited = rush.longest([&] { rush.world.cut.insert(rush.centre_at.address); });
        REQUIRE(waited <= 1200ms);
        for (unsigned i = 0; i < Rush::kCalls; ++i) {
            CAPTURE(i);
            REQUIRE(rush.callers[i]->in_call());
            REQUIRE(rush.callees[i]->in_call());
            REQUIRE(rush.callees[i]->count("INVITE") == 1);
        }
        for (auto& phone : rush.callers) phone->hang_up();
        rush.world.run(40s);
        REQUIRE(rush.quiet());
    }
}

TEST_CASE("who calls through a B2BUA while it falls silent is in a call soon, and so is everybody who was rung") {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        CAPTURE(seed);
        Rush rush(seed);
        rush.centre.back_to_back = true;
        const auto waited = rush.longest([&] { rush.world.cut.insert(rush.centre_at.address); });
        CHECK(waited <= 1200ms);
        for (unsigned i = 0; i < Rush::kCalls; ++i) {
            CAPTURE(i);
            CHECK(rush.callers[i]->in_call());
            CHECK(rush.callees[i]->in_call());
            CHECK(rush.callees[i]->count("INVITE") == 1);
            CHECK(rush.callees[i]->count("BYE") == 0);
        }
        for (auto& phone : rush.callers) phone->hang_up();
        rush.world.run(3s);
        for (unsigned i = 0; i < Rush::kCalls; ++i) CHECK_FALSE(rush.callees[i]->in_call());
        rush.world.run(40s);
        REQUIRE(rush.quiet());
    }
}

TEST_CASE("a centre that is only slow keeps its calls, and nobody is rung twice") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        Rush rush(seed);
        const auto waited = rush.longest([&] { rush.world.delay = 90ms; });
        REQUIRE(waited <= 1200ms);
        for (unsigned i = 0; i < Rush::kCalls; ++i) {
            CAPTURE(i);
            REQUIRE(rush.callers[i]->in_call());
            REQUIRE(rush.callees[i]->in_call());
            REQUIRE(rush.callees[i]->count("CANCEL") == 0);
        }
        for (const auto* office : {&rush.trento, &rush.munich}) REQUIRE(office->mode() == "central");
        for (auto& phone : rush.callers) phone->hang_up();
        rush.world.run(40s);
        REQUIRE(rush.quiet());
    }
}
