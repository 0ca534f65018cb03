#include "meshd/masquerade.hpp"

#include <poll.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <nlohmann/json.hpp>

using nlohmann::json;

namespace {

/// nftables with one table at most, and what was asked of it. For any thread.
class Nftables {
public:
    struct State {
        std::string table;
        std::vector<std::string> given, told;
        unsigned listed = 0;  ///< since it was last given something
        /// What was given last has been looked at, and looked at again.
        bool is_watched(const std::string& as) const { return table == as && listed > 1; }
    };
    meshd::Masquerade::Settings settings() {
        meshd::Masquerade::Settings out;
        out.nft = [this](const auto&, const auto& input, int stop) { return run(input, stop); };
        out.told = [this](const auto& why) {
            const std::lock_guard lock(mutex_);
            state_.told.push_back(why);
            changed_.notify_all();
        };
        out.look_every = out.rest = std::chrono::milliseconds(1);
        return out;
    }
    /// `works`: it takes rules. `answers`: nft ends at all.
    void set(const std::string& table, bool works = true, bool answers = true) {
        const std::lock_guard lock(mutex_);
        state_.table = table;
        works_ = works;
        answers_ = answers;
    }
    template <class Is>
    State wait_until(Is is) {
        std::unique_lock lock(mutex_);
        REQUIRE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return is(state_); }));
        return state_;
    }
    State now() {
        const std::lock_guard lock(mutex_);
        return state_;
    }

private:
    net::Result<std::string> run(const std::string& input, int stop) {
        std::unique_lock lock(mutex_);
        const bool gives = !input.empty();
        if (gives) state_.given.push_back(input);
        state_.listed = gives ? 0 : state_.listed + 1;
        changed_.notify_all();
        if (gives && !works_) return net::fail("no such hook");
        while (!answers_ && stop >= 0) {  // as run_nft() waits: for its child, or until it is to stop
            pollfd entry{stop, POLLIN, 0};
            lock.unlock();
            const bool stops = ::poll(&entry, 1, 1) > 0;
            lock.lock();
            if (stops) return net::fail("stopped");
        }
        if (!gives) return state_.table.empty() ? net::Result<std::string>(net::fail("no such table")) : "listed " + state_.table;
        state_.table = input.find("masquerade") == std::string::npos ? "" : input;
        changed_.notify_all();
        return std::string();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    State state_;
    bool works_ = true, answers_ = true;
};

const std::vector kOffice{*net::Prefix::parse("192.168.1.0/24")};

}  // namespace

TEST_CASE("the rules of an exit replace what was there, and spare its own subnets, in one transaction") {
    const std::vector subnets{*net::Prefix::parse("192.168.1.0/24"), *net::Prefix::parse("fd01::/64")};
    const auto rules = json::parse(meshd::masquerade_rules("mesh0", subnets))["nftables"];
    REQUIRE(rules.size() == 6);
    const json table{{"family", "inet"}, {"name", "meshd-mesh0"}};
    CHECK(rules[0]["add"]["table"] == table);
    CHECK(rules[1]["delete"]["table"] == table);
    CHECK(rules[2]["add"]["table"] == table);
    CHECK(rules[3]["add"]["chain"]["hook"] == "postrouting");
    for (const auto& [at, own] : {std::pair{4, "192.168.1.0"}, {5, "fd01::"}}) {
        const auto& rule = rules[static_cast<std::size_t>(at)]["add"]["rule"]["expr"];
        CHECK(rule.front()["match"]["right"] == "mesh0");
        CHECK(rule.back().contains("masquerade"));
        CHECK(rule[3]["match"]["right"]["prefix"]["addr"] == own);
    }
    const auto none = json::parse(meshd::no_masquerade_rules("mesh0"))["nftables"];
    CHECK(none.size() == 2);
}

TEST_CASE("rules of an exit that another program takes away or changes are put back, and a person is told") {
    Nftables nftables;
    {
        meshd::Masquerade exit("mesh0", nftables.settings());
        exit.set(true, kOffice);
        const auto rules = meshd::masquerade_rules("mesh0", kOffice);
        nftables.wait_until([&](const auto& now) { return now.is_watched(rules); });
        CHECK(exit.trouble().empty());
        for (const auto* const others : {"", "other rules"}) {
            nftables.set(others);
            nftables.wait_until([&](const auto& now) { return now.is_watched(rules); });
        }
        CHECK_THAT(exit.trouble(), Catch::Contains("another program") && Catch::Contains("2 times"));
        CHECK(nftables.now().told.size() == 1);  // of many the first
    }
    CHECK(nftables.now().table.empty());
    CHECK(nftables.now().given.size() == 4);
}

TEST_CASE("nobody waits for nft, and of all that was wanted meanwhile the last comes to stand") {
    Nftables nftables;
    nftables.set("", true, false);
    {
        meshd::Masquerade exit("mesh0", nftables.settings());
        exit.set(true, {});
        nftables.wait_until([](const auto& now) { return now.given.size() == 1; });
        exit.set(false, {});
        exit.set(true, {*net::Prefix::parse("10.0.0.0/24")});
        exit.set(true, kOffice);
        nftables.set("");
        nftables.wait_until([](const auto& now) { return now.is_watched(meshd::masquerade_rules("mesh0", kOffice)); });
        CHECK(nftables.now().given.size() == 2);
        CHECK(nftables.now().told.empty());
    }
    CHECK(nftables.now().table.empty());
}

TEST_CASE("an nft that hangs does not keep meshd from ending") {
    Nftables nftables;
    nftables.set("", true, false);
    {
        meshd::Masquerade exit("mesh0", nftables.settings());
        exit.set(true, {});
        nftables.wait_until([](const auto& now) { return now.given.size() == 1; });
    }
    CHECK(nftables.now().told.empty());
    CHECK(nftables.now().given.back() == meshd::no_masquerade_rules("mesh0"));
}

TEST_CASE("rules that nft refuses are told of, tried again, and told of no longer once they stand") {
    Nftables nftables;
    nftables.set("", false);
    meshd::Masquerade exit("mesh0", nftables.settings());
    exit.set(true, kOffice);
    nftables.wait_until([](const auto& now) { return now.given.size() > 3; });
    CHECK_THAT(exit.trouble(), Catch::Contains("no such hook"));
    CHECK(nftables.now().told.size() == 1);
    nftables.set("");
    nftables.wait_until([](const auto& now) { return now.is_watched(meshd::masquerade_rules("mesh0", kOffice)); });
    CHECK(exit.trouble().empty());
}

TEST_CASE("what an earlier process has left is taken away once") {
    Nftables nftables;
    nftables.set("left");
    meshd::Masquerade exit("mesh0", nftables.settings());
    exit.left_behind();
    exit.set(false, {});
    nftables.wait_until([](const auto& now) { return now.table.empty(); });
    exit.set(false, {});
    exit.set(true, {});
    nftables.wait_until([](const auto& now) { return !now.table.empty(); });
    CHECK(nftables.now().given.size() == 2);
}
