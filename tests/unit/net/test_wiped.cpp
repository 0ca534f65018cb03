#include "net/wiped.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

TEST_CASE("what held a secret is zero at the end of its scope, in full") {
    std::string text = "a token of some length, longer than a short string";
    std::vector<std::uint32_t> words{1, 2, 3};
    {
        const net::WipedAtEnd wipe_text(text);
        const net::WipedAtEnd wipe_words(words);
        CHECK(text.front() == 'a');
    }
    CHECK(text == std::string(text.size(), '\0'));
    CHECK(words == std::vector<std::uint32_t>(3, 0));
    std::string nothing;
    net::wipe(nothing);
    CHECK(nothing.empty());
}
