#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "meshd/http_proxy.hpp"
#include "scratch.hpp"

using Catch::Matchers::Contains;

TEST_CASE("a proxy is named by its URL, with or without a user") {
    const auto plain = meshd::parse_http_proxy("http://proxy.example:3128");
    REQUIRE(plain);
    CHECK(plain->at == meshd::HostPort{"proxy.example", 3128});
    CHECK(plain->user.empty());
    CHECK(meshd::parse_http_proxy("HTTP://[2001:db8::1]:8080/")->at == meshd::HostPort{"2001:db8::1", 8080});
    CHECK(meshd::parse_http_proxy("192.0.2.1:8080")->at == meshd::HostPort{"192.0.2.1", 8080});
    const auto with_user = meshd::parse_http_proxy("http://al%40ice:p%3Aq@r@proxy.example:3128/");
    REQUIRE(with_user);
    CHECK(with_user->user == "al@ice");
    CHECK(with_user->password.view() == "p:q@r");
    for (const auto* bad : {"", "https://proxy.example:3128", "http://proxy.example", "socks5://x:1", "http://:x@proxy.example:1",
                            "http://a%3Ab@proxy.example:1", "http://a%0d@proxy.example:1", "http://a%4@proxy.example:1", "proxy:0"}) {
        INFO(bad);
        CHECK_FALSE(meshd::parse_http_proxy(bad));
    }
}

TEST_CASE("the proxy is the one that is configured, or the environment's, and its password is said nowhere") {
    const Scratch folder;
    const auto file = folder.path("password");
    std::ofstream(file) << "pots and pans\n";
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    ::unsetenv("https_proxy");
    ::unsetenv("HTTPS_PROXY");
    meshd::StreamsConfig config;
    CHECK_FALSE(meshd::http_proxy_of(config));
    ::setenv("https_proxy", "http://user:secret@proxy.example:3128", 1);
    const auto of_environment = meshd::http_proxy_of(config);
    REQUIRE(of_environment);
    CHECK(of_environment->password.view() == "secret");
    ::setenv("https_proxy", "https://user:secret@proxy.example", 1);
    CHECK_THROWS_WITH(meshd::http_proxy_of(config), Contains("https_proxy is no HTTP proxy") && !Contains("secret"));
    config.proxy_of_environment = false;
    CHECK_FALSE(meshd::http_proxy_of(config));
    config.proxy = "http://user@10.0.0.1:8080";
    config.proxy_password_file = file;
    const auto named = meshd::http_proxy_of(config);
    REQUIRE(named);
    CHECK(named->user == "user");
    CHECK(named->password.view() == "pots and pans");
    config.proxy_password_file = folder.path("none");
    CHECK_THROWS_WITH(meshd::http_proxy_of(config), Contains("the proxy's password, in ") && Contains("cannot be read"));
    ::unsetenv("https_proxy");
}
