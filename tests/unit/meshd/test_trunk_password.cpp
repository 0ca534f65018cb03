#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "meshd/trunk_password.hpp"
#include "scratch.hpp"

TEST_CASE("a trunk's password is the first line of a file that nobody else may read") {
    const Scratch folder;
    const auto path = folder.path("password");
    const auto put = [&](const std::string& text, unsigned mode = 0600) {
        std::ofstream(path) << text;
        REQUIRE(::chmod(path.c_str(), static_cast<mode_t>(mode)) == 0);
    };
    put("pots and pans\nnotes\n");
    CHECK(meshd::trunk_password(path).view() == "pots and pans");
    put("no line end");
    CHECK(meshd::trunk_password(path).view() == "no line end");
    using Catch::Matchers::Contains;
    put("secret", 0640);
    CHECK_THROWS_WITH(meshd::trunk_password(path), Contains("chmod 600") && !Contains("secret"));
    put("\n");
    CHECK_THROWS_WITH(meshd::trunk_password(path), Contains("is empty"));
    put(std::string(300, 'x'));
    CHECK_THROWS_WITH(meshd::trunk_password(path), Contains("longer"));
    CHECK_THROWS_WITH(meshd::trunk_password(folder.path("none")), Contains("cannot be read"));
}
