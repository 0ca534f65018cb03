#include <catch2/catch.hpp>

#include "dns/framing.hpp"

using namespace dns;

namespace {
net::Bytes message(std::size_t size, char fill) { return net::Bytes(size, static_cast<std::byte>(fill)); }
}  // namespace

TEST_CASE("messages come out of a stream however it was cut") {
    const auto first = message(12, 'a'), second = message(kMaxQueryBytes, 'b');
    auto stream = Framer::framed(first);
    const auto more = Framer::framed(second);
    stream.insert(stream.end(), more.begin(), more.end());
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, stream.size()}) {
        Framer framer;
        std::vector<net::Bytes> out;
        for (std::size_t at = 0; at < stream.size(); at += piece) {
            framer.feed(net::ByteView(stream).subspan(at, std::min(piece, stream.size() - at)));
            while (auto one = framer.next()) out.push_back(std::move(*one));
        }
        CHECK(out == std::vector{first, second});
        CHECK_FALSE(framer.is_broken());
        CHECK(framer.is_empty());
    }
}

TEST_CASE("a length that no query has breaks the stream at once") {
    for (const auto size : {std::size_t{0}, std::size_t{11}, kMaxQueryBytes + 1, std::size_t{65535}}) {
        Framer framer;
        framer.feed(Framer::framed(message(size, 'a')));
        CHECK_FALSE(framer.next());
        CHECK(framer.is_broken());
        CHECK(framer.is_empty());
    }
}
