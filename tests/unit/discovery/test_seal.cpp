#include <catch2/catch.hpp>

#include <algorithm>

#include "discovery/seal.hpp"

namespace {

struct Fixture {
    net::SeededRandom random{11};
    discovery::DiscoveryKey key;
    net::NodeKey node;
    Fixture() {
        random.fill(key.fill());
        random.fill(node.bytes);
    }
};

}  // namespace

TEST_CASE("a member reads who announces itself, whatever else stands beside it") {
    Fixture f;
    auto txt = discovery::seal(f.key, f.node, f.random);
    CHECK(discovery::unseal(f.key, txt) == f.node);
    txt.insert(txt.begin(), "future=thing");
    txt.emplace_back("");
    std::reverse(txt.begin(), txt.end());
    CHECK(discovery::unseal(f.key, txt) == f.node);
}

TEST_CASE("a stranger reads nothing, and cannot link two announcements") {
    Fixture f;
    const auto first = discovery::seal(f.key, f.node, f.random), second = discovery::seal(f.key, f.node, f.random);
    REQUIRE(first.size() == second.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
        CHECK(first[i].size() == second[i].size());
        CHECK((first[i] == second[i]) == (first[i] == "v=1"));
    }
    discovery::DiscoveryKey other;
    f.random.fill(other.fill());
    CHECK_FALSE(discovery::unseal(other, first));
}

TEST_CASE("an announcement that was touched anywhere is none") {
    Fixture f;
    const auto txt = discovery::seal(f.key, f.node, f.random);
    for (std::size_t entry = 0; entry < txt.size(); ++entry) {
        for (std::size_t i = 0; i < txt[entry].size(); ++i) {
            auto touched = txt;
            touched[entry][i] = touched[entry][i] == 'B' ? 'C' : 'B';
            CHECK_FALSE(discovery::unseal(f.key, touched));
        }
        auto shorter = txt;
        shorter[entry].pop_back();
        CHECK_FALSE(discovery::unseal(f.key, shorter));
        auto missing = txt;
        missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(entry));
        CHECK_FALSE(discovery::unseal(f.key, missing));
    }
    CHECK_FALSE(discovery::unseal(f.key, {}));
}
