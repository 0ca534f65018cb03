#include <catch2/catch.hpp>

#include "discovery/datagram_stream.hpp"
#include "net/random.hpp"

using namespace discovery;

namespace {

StreamPairId some_pair() {
    StreamPairId out{};
    net::SeededRandom(7).fill(out);
    return out;
}

std::vector<net::Bytes> datagrams(std::size_t count) {
    net::SeededRandom random(3);
    std::vector<net::Bytes> out;
    for (std::size_t i = 0; i < count; ++i) {
        out.emplace_back(kMinStreamDatagramBytes + random.below(kMaxStreamDatagramBytes - kMinStreamDatagramBytes + 1));
        random.fill(out.back());
    }
    out.front().resize(kMinStreamDatagramBytes);
    out.back().resize(kMaxStreamDatagramBytes);
    return out;
}

}  // namespace

TEST_CASE("datagrams come off a stream as they were put on it, however it is cut") {
    const auto sent = datagrams(20);
    const StreamPreamble preamble{StreamRole::bulk, some_pair()};
    auto wire = preamble.encode();
    REQUIRE(wire.size() == StreamPreamble::kBytes);
    for (const auto& datagram : sent) append_datagram(wire, datagram);
    const std::size_t step = GENERATE(as<std::size_t>(), 1, 2, 17, 18, 19, 1000, 16384, 100000);
    DatagramFramer framer(true);
    std::vector<net::Bytes> came;
    std::optional<StreamPreamble> told;
    for (std::size_t at = 0; at < wire.size(); at += step) {
        framer.feed(net::ByteView(wire).subspan(at, std::min(step, wire.size() - at)));
        if (const auto found = framer.preamble()) told = found;
        while (const auto datagram = framer.next()) came.push_back(net::copy(*datagram));
        CHECK(framer.kept_bytes() <= kMaxStreamDatagramBytes + 2);
    }
    CHECK(told == preamble);
    CHECK(came == sent);
    CHECK(framer.state() == DatagramFramer::State::open);
}

TEST_CASE("who answers says no preamble") {
    DatagramFramer framer(false);
    net::Bytes wire;
    append_datagram(wire, net::Bytes(100));
    framer.feed(wire);
    CHECK_FALSE(framer.preamble());
    CHECK(framer.next()->size() == 100);
}

TEST_CASE("a stranger's first byte breaks the stream, and so do a version and a role that nobody knows") {
    for (const auto& begin : {std::string("GET / HTTP/1.1"), std::string("\x02\x01", 2), std::string("\x01\x03", 2), std::string(1, '\0')}) {
        DatagramFramer framer(true);
        framer.feed(net::as_bytes(begin));
        CHECK_FALSE(framer.preamble());
        CHECK(framer.state() == DatagramFramer::State::no_preamble);
        framer.feed(net::Bytes(5000));
        CHECK(framer.kept_bytes() <= begin.size());
    }
}

TEST_CASE("a length that no datagram has breaks the stream before its bytes have come") {
    for (const unsigned size : {0U, 31U, 2049U, 65535U}) {
        DatagramFramer framer(false);
        framer.feed(net::Writer().u16be(static_cast<std::uint16_t>(size)).take());
        CHECK_FALSE(framer.next());
        CHECK(framer.state() == (size < 32 ? DatagramFramer::State::too_short : DatagramFramer::State::too_long));
        net::Bytes good;
        append_datagram(good, net::Bytes(100));
        framer.feed(good);
        CHECK_FALSE(framer.next());
    }
}
