#include <catch2/catch.hpp>

#include "voice/audio_watch.hpp"

using namespace std::chrono_literals;
using namespace voice;

namespace {

/// A relay between two phones that send, or do not, each 20 ms; it is looked at each 400 ms, its figures 500 ms old.
struct Line {
    Line() {
        for (const auto leg : {Leg::near, Leg::far}) {
            LegRemote remote{at(leg), at(leg), {}, false, Content::rtp};
            relay.set_remote(leg, remote);
        }
    }
    static net::Endpoint at(Leg leg) { return {net::IpAddress::v4(10, 0, 0, leg == Leg::near ? 1 : 2), 4000, 0}; }
    struct Voice {
        bool sends = true;
        bool rtcp = true;
        std::uint16_t sequence = 0;
        std::uint32_t timestamp = 0;
        bool marker = false;
        std::optional<net::Endpoint> from;
    };
    void packet(Leg leg, std::uint8_t type, std::size_t payload_bytes) {
        auto& voice = voices[static_cast<std::size_t>(leg)];
        net::Writer out;
        out.u8(0x80).u8(static_cast<std::uint8_t>(type | (std::exchange(voice.marker, false) ? 0x80 : 0)));
        out.u16be(++voice.sequence).u32be(voice.timestamp).u32be(7).zeros(payload_bytes);
        relay.receive(leg, Channel::rtp, voice.from.value_or(at(leg)), out.view(), now);
    }
    /// Nullopt where nothing was noticed within that time; else how long it took.
    std::optional<net::Duration> notices(Leg leg, net::Duration within) {
        const auto start = now;
        while (now < start + within) {
            step();
            if (watch.silent() == leg) return now - start;
        }
        return std::nullopt;
    }
    void step() {
        now += 20ms;
        for (const auto leg : {Leg::near, Leg::far}) {
            auto& voice = voices[static_cast<std::size_t>(leg)];
            voice.timestamp += 160;
            if (voice.sends) packet(leg, 0, 160);
            if (voice.rtcp && ticks % 250 == 0) {
                net::Writer out;
                out.u8(0x80).u8(200).u16be(6).zeros(24);
                relay.receive(leg, Channel::rtp, at(leg), out.view(), now);
            }
        }
        if (ticks % 25 == 0) told = relay.stats();
        if (ticks++ % 20 == 0) watch.look(told, expected, now);
    }
    void run(net::Duration time) {
        for (const auto end = now + time; now < end;) step();
    }
    Voice& voice(Leg leg) { return voices[static_cast<std::size_t>(leg)]; }

    Relay relay;
    AudioWatch watch;
    RelayStats told;
    net::Steady now{1000s};
    std::array<Voice, 2> voices;
    std::array<bool, 2> expected{true, true};
    unsigned ticks = 0;
};

}  // namespace

TEST_CASE("a side that falls silent is noticed within three seconds, whichever it is, and so is its return") {
    for (const auto leg : {Leg::near, Leg::far}) {
        Line line;
        line.watch.begin(line.now);
        line.run(10s);
        CHECK_FALSE(line.watch.silent());
        line.voice(leg).sends = false;
        const auto took = line.notices(leg, 10s);
        REQUIRE(took);
        CHECK(*took <= 3s);
        CHECK_FALSE(line.watch.from_elsewhere());
        line.run(20s);
        CHECK(line.watch.silent() == leg);
        line.voice(leg).sends = true;
        line.run(1s);
        CHECK_FALSE(line.watch.silent());
    }
}

TEST_CASE("a side that is never heard is noticed within three seconds of the answer, and not before it") {
    Line line;
    line.voice(Leg::near).sends = false;
    line.run(30s);  // early media: the caller has no need to speak
    CHECK_FALSE(line.watch.silent());
    line.watch.begin(line.now);
    const auto took = line.notices(Leg::near, 10s);
    REQUIRE(took);
    CHECK(*took <= 3s);
}

TEST_CASE("where neither side sends there is no one-way audio") {
    Line line;
    line.watch.begin(line.now);
    line.voice(Leg::near).sends = line.voice(Leg::far).sends = false;
    line.run(60s);
    CHECK_FALSE(line.watch.silent());
    line.voice(Leg::far).sends = true;
    CHECK(line.notices(Leg::near, 3s));
}

TEST_CASE("hold is not taken for it, nor the first moment after") {
    Line line;
    line.watch.begin(line.now);
    line.run(5s);
    line.voice(Leg::far).sends = false;
    line.expected = {true, false};  // music on hold
    line.run(60s);
    CHECK_FALSE(line.watch.silent());
    line.expected = {true, true};
    line.run(1s);
    CHECK_FALSE(line.watch.silent());
    line.voice(Leg::far).marker = true;
    line.voice(Leg::far).sends = true;
    line.run(5s);
    CHECK_FALSE(line.watch.silent());
    line.voice(Leg::far).sends = false;
    CHECK(line.notices(Leg::far, 3s));
    line.expected = {false, false};
    line.run(1s);
    CHECK_FALSE(line.watch.silent());
}

TEST_CASE("comfort noise and pauses in speech are not taken for it; a minute without any is") {
    Line line;
    line.watch.begin(line.now);
    line.run(5s);
    line.packet(Leg::near, 13, 11);
    line.voice(Leg::near).sends = false;
    line.run(50s);
    CHECK_FALSE(line.watch.silent());
    CHECK(line.notices(Leg::near, 15s));

    Line other;  // without comfort noise: learnt from its first pause
    other.watch.begin(other.now);
    other.run(5s);
    for (int i = 0; i < 3; ++i) {
        other.voice(Leg::far).sends = false;
        other.run(i == 0 ? 1500ms : 20s);
        CHECK_FALSE(other.watch.silent());
        other.voice(Leg::far).marker = other.voice(Leg::far).sends = true;
        other.run(3s);
    }
}

TEST_CASE("RTCP alone is silence, and packets from an address that nobody named are told of") {
    Line line;
    line.watch.begin(line.now);
    line.voice(Leg::far).sends = false;
    CHECK(line.notices(Leg::far, 3s));
    Line other;
    other.voice(Leg::near).from = net::Endpoint{net::IpAddress::v4(172, 16, 0, 9), 4000, 0};
    other.watch.begin(other.now);
    CHECK(other.notices(Leg::near, 3s));
    CHECK(other.watch.from_elsewhere());
}
