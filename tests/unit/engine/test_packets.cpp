#include <catch2/catch.hpp>

#include "net/random.hpp"
#include "voice/engine/redundancy.hpp"
#include "voice/engine/rtp.hpp"
#include "voice/engine/source.hpp"
#include "voice/engine/telephone_event.hpp"

using namespace std::chrono_literals;
using namespace voice::engine;

namespace {

net::Bytes hex(std::string_view text) {
    net::Bytes out;
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<std::byte>(digit(text[i]) * 16 + digit(text[i + 1])));
    return out;
}

}  // namespace

TEST_CASE("what is built as RTP is read back") {
    const auto packet = build_rtp({96, true, 0xfffe, 0xdeadbeef, 42}, hex("0102"));
    CHECK(packet == hex("80e0fffedeadbeef0000002a0102"));
    const auto read = RtpPacket::parse(packet);
    REQUIRE(read);
    CHECK((read->header.payload_type == 96 && read->header.marker && read->header.sequence == 0xfffe));
    CHECK((read->header.timestamp == 0xdeadbeef && read->header.ssrc == 42));
    CHECK(net::copy(read->payload) == hex("0102"));
}

TEST_CASE("contributing sources, extension and padding are no sound") {
    const auto packet = hex("b1000001" "00000000" "00000001" "aaaaaaaa" "bede0001" "bbbbbbbb" "0708" "000003");
    const auto read = RtpPacket::parse(packet);
    REQUIRE(read);
    CHECK(net::copy(read->payload) == hex("0708"));
    for (const auto* bad : {"", "80", "8000000100000000000000", "40000001000000000000000107", "83000001000000000000000107", "90000001000000000000000100000001",
                            "a0000001000000000000000100", "a00000010000000000000001070809ff", "80c80001000000000000000107"}) {
        INFO(bad);
        CHECK(!RtpPacket::parse(hex(bad)));
    }
    CHECK(RtpPacket::parse(hex("800000010000000000000001"))->payload.empty());
    net::Bytes huge = hex("800000010000000000000001");
    huge.resize(kMaxRtpBytes + 1);
    CHECK(!RtpPacket::parse(huge));
}

TEST_CASE("redundant blocks are read as RFC 2198 writes them") {
    // Its section 4's packet, shorter: a block of type 7 from 160 ticks before, then the newest of type 5.
    const auto payload = hex("87" "028003" "05" "a1a2a3" "b1");
    const auto blocks = parse_red(payload);
    REQUIRE(blocks);
    REQUIRE(blocks->size() == 2);
    CHECK(((*blocks)[0].payload_type == 7 && (*blocks)[0].offset == 160));
    CHECK(net::copy((*blocks)[0].payload) == hex("a1a2a3"));
    CHECK(((*blocks)[1].payload_type == 5 && (*blocks)[1].offset == 0));
    CHECK(net::copy((*blocks)[1].payload) == hex("b1"));
    CHECK(!parse_red(hex("")));
    CHECK(!parse_red(hex("87028003")));
    CHECK(!parse_red(hex("8702800305a1a2")));
    net::Bytes deep;
    for (int i = 0; i < 9; ++i) deep.insert(deep.end(), 4, std::byte{0x80});
    deep.push_back(std::byte{0});
    CHECK(!parse_red(deep));
}

TEST_CASE("redundancy is bounded in depth and in size") {
    RedSender sender(96, 40);
    sender.set_offsets(std::vector<unsigned>{1, 3, 99, 0});
    for (std::uint32_t i = 0; i < 10; ++i) {
        const net::Bytes payload(10, static_cast<std::byte>(i));
        const auto wrapped = sender.wrap(payload, i * 960);
        const auto blocks = parse_red(wrapped);
        REQUIRE(blocks);
        CHECK(wrapped.size() <= 40);
        CHECK(net::copy(blocks->back().payload) == payload);
        if (i < 3) continue;
        REQUIRE(blocks->size() == 3);
        CHECK(((*blocks)[0].offset == 3 * 960 && (*blocks)[0].payload[0] == static_cast<std::byte>(i - 3)));
        CHECK(((*blocks)[1].offset == 960 && (*blocks)[1].payload[0] == static_cast<std::byte>(i - 1)));
    }
    // What does not fit is left out, the furthest first; the newest never.
    CHECK(parse_red(sender.wrap(net::Bytes(20), 9600))->size() == 2);
    CHECK(parse_red(sender.wrap(net::Bytes(500), 10560))->size() == 1);
    // Too long ago for 14 bits.
    CHECK(parse_red(sender.wrap(net::Bytes(1), 10560 + 20000))->size() == 1);
}

TEST_CASE("a key is sent with its end three times, and told once") {
    KeySender sender(48000);
    CHECK(!sender.press('x', 100ms));
    CHECK(sender.press('5', 100ms));
    CHECK(sender.press('#', 60ms));
    KeyReceiver receiver;
    std::string heard;
    unsigned ends = 0, first = 0, packets = 0;
    for (std::uint32_t at = 0; at < 48000; at += 960) {
        const auto packet = sender.next(at, 960);
        if (!packet) continue;
        ++packets;
        first += packet->marker ? 1 : 0;
        ends += TelephoneEvent::parse(packet->payload)->end ? 1 : 0;
        if (packets % 2 == 0) continue;  // half of them are lost
        RtpHeader header;
        header.timestamp = packet->timestamp;
        if (const auto key = receiver.receive(header, packet->payload)) heard += *key;
    }
    CHECK(heard == "5#");
    CHECK(first == 2);
    CHECK(ends == 6);
    CHECK(!sender.busy());
    // RFC 4733 2.3's layout.
    CHECK((TelephoneEvent{11, true, 10, 800}.bytes()) == hex("0b8a0320"));
    CHECK(!TelephoneEvent::parse(hex("0b8a03")));
    for (std::size_t i = 0; i < KeySender::kMostWaiting; ++i) CHECK(sender.press('1', 100ms));
    CHECK(!sender.press('1', 100ms));
}

namespace {

struct Sending {
    Source source{8000};
    net::Steady now{100s};
    RtpHeader header{0, false, 65530, 5000, 1};
    std::optional<Source::Place> next(std::uint32_t step = 160) {
        now += 20ms;
        ++header.sequence;
        header.timestamp += step;
        return source.place(header, 160, now);
    }
};

}  // namespace

TEST_CASE("places go on over the wrap of sequence numbers and timestamps") {
    Sending it;
    it.header.timestamp = 0xfffff000;
    for (std::int64_t i = 0; i < 50; ++i) {
        const auto place = it.next();
        REQUIRE(place);
        CHECK(place->ticks == 160 * i);
        CHECK(!place->anew);
    }
}

TEST_CASE("another SSRC is followed only when the old one has stopped") {
    Sending it;
    for (int i = 0; i < 10; ++i) it.next();
    RtpHeader stranger{0, false, 1, 1, 99};
    for (int i = 0; i < 50; ++i) {
        CHECK(it.next());
        ++stranger.sequence;
        CHECK(!it.source.place(stranger, 160, it.now));
    }
    it.now += 200ms;
    int before = 0;
    std::optional<Source::Place> place;
    while (!place && before < 10) {
        ++before;
        ++stranger.sequence;
        place = it.source.place(stranger, 160, it.now += 20ms);
    }
    REQUIRE(place);
    CHECK(place->anew);
    CHECK(before <= 3);
}

TEST_CASE("a leap of sequence or time is believed when the next packet follows it") {
    Sending it;
    for (int i = 0; i < 10; ++i) it.next();
    it.header.sequence += 20000;
    CHECK(!it.next());
    REQUIRE(it.next());
    CHECK(it.source.restarts() == 1);
    it.header.timestamp += 80'000'000;
    CHECK(!it.next());
    REQUIRE(it.next());
    CHECK(it.source.restarts() == 2);
    // One packet gone astray changes nothing.
    auto astray = it.header;
    astray.sequence += 9000;
    CHECK(!it.source.place(astray, 160, it.now));
    CHECK(it.next());
    CHECK(it.source.restarts() == 2);
}

TEST_CASE("timestamps that lie are not used any more") {
    for (const std::uint32_t step : {53U, 0U, 1000U}) {
        Sending it;
        std::optional<Source::Place> before, place;
        for (int i = 0; i < 40; ++i) {
            before = place;
            place = it.next(step);
        }
        REQUIRE((before && place));
        CHECK(place->ticks - before->ticks == 160);
        CHECK(!place->by_timestamp);
    }
    // Without any order at all.
    Sending it;
    net::SeededRandom random(4);
    int placed = 0;
    for (int i = 0; i < 100; ++i) {
        it.header.timestamp = static_cast<std::uint32_t>(random.u64());
        placed += it.next() ? 1 : 0;
    }
    CHECK(placed > 80);
}
