#include <catch2/catch.hpp>

#include "wire.hpp"

using namespace engine_test;

namespace {

/// What a listener waits for from a sound's being said: by comparing sounds.
double mouth_to_ear_ms(const Call& call, Sound said, unsigned rate_hz, double at_seconds) {
    const auto at = static_cast<std::size_t>(at_seconds * rate_hz);
    const auto delay = delay_of(said, call.heard, at, rate_hz / 8, rate_hz / 2, std::max(1U, rate_hz / 8000));
    // The first frame is captured 10 ms after its first sample was said, and heard 3 ms later.
    return static_cast<double>(delay) * 1000 / rate_hz + 13;
}

}  // namespace

TEST_CASE("on a clean LAN a voice is heard within 50 ms, whole") {
    for (const auto& settings : {g711_settings(), opus_settings(16000), opus_settings(48000)}) {
        const auto rate = settings.sound.rate_hz;
        const auto said = speech(rate, 6);
        Call call(settings);
        call.run(said, steady_way(1ms));
        INFO(rate << " Hz: " << call.delay_ms());
        CHECK(call.to.figures().buffer.concealed == 0);
        CHECK(call.to.figures().buffer.late == 0);
        for (const double at : {2.2, 3.1, 4.3, 5.1}) {
            const auto delay = mouth_to_ear_ms(call, said, rate, at);
            INFO(at << " s: " << delay);
            CHECK(delay <= 50);
            CHECK(delay >= 20);
        }
    }
}

TEST_CASE("packets of any length are played whole") {
    for (const unsigned packet_ms : {10U, 40U, 60U}) {
        for (auto settings : {g711_settings(), opus_settings(48000)}) {
            settings.sound.packet_ms = packet_ms;
            Call call(settings);
            call.run(speech(settings.sound.rate_hz, 6), jittery_way(1ms, 4ms));
            INFO(packet_ms << " ms at " << settings.sound.rate_hz << " Hz: " << call.delay_ms());
            CHECK(call.to.figures().buffer.concealed == 0);
            CHECK(call.to.figures().buffer.late == 0);
            CHECK(call.delay_ms() < 40);
        }
    }
}

TEST_CASE("jitter of 30 ms to both sides of 30 costs less than 120 ms, and no sound") {
    const auto said = speech(16000, 30);
    Call call(opus_settings());
    call.run(said, jittery_way(0ms, 60ms));
    INFO(call.concealed_percent() << " % concealed, delay " << call.delay_ms());
    CHECK(call.concealed_percent() < 0.5);
    for (const double at : {10.2, 15.1, 20.3, 25.2, 29.1}) CHECK(mouth_to_ear_ms(call, said, 16000, at) <= 120);
}

TEST_CASE("after a burst of delay no word is lost, and the delay comes down again") {
    for (const bool overtaking : {true, false}) {
        const auto said = speech(16000, 16);
        Call call(opus_settings());
        net::Duration back{};
        call.each = [&, was = false]() mutable {
            const auto at = call.now - call.start;
            const bool high = call.delay_ms() > 40;
            if (at > 8s && was && !high) back = at;
            was = high;
        };
        // Either those sent later overtake, or all wait in a queue that then empties.
        call.run(said, [&](net::Duration at) -> std::optional<net::Duration> {
            if (at < 8s || at >= 8700ms) return 1ms;
            if (overtaking) return at < 8500ms ? 201ms : 1ms;
            return at < 8500ms ? 201ms : std::max<net::Duration>(1ms, 8701ms - at);
        });
        const auto figures = call.to.figures().buffer;
        INFO(overtaking << " back at " << back.count() / 1000000 << " ms, late " << figures.late << ", concealed ms " << figures.concealed / 16);
        CHECK(figures.late == 0);
        CHECK(figures.discarded == 0);
        CHECK(figures.concealed <= 16 * 220);
        CHECK(back > 8s);
        CHECK(back < 8500ms + 5s);
        CHECK(mouth_to_ear_ms(call, said, 16000, 14.3) <= 60);
    }
}

TEST_CASE("the buffer follows a network that gets worse, and one that gets better") {
    const auto said = speech(16000, 90);
    Call call(opus_settings());
    auto bad = jittery_way(10ms, 90ms);
    std::vector<double> delays;
    call.each = [&] {
        if ((call.now - call.start) % 10s == 0s) delays.push_back(call.delay_ms());
    };
    call.run(said, [&](net::Duration at) { return at > 20s && at < 50s ? bad(at) : std::optional<net::Duration>(10ms); });
    CHECK(delays[1] < 25);
    CHECK((delays[3] > 60 && delays[3] < 110));
    CHECK(delays.back() < 25);
    CHECK(call.concealed_percent() < 1);
}

TEST_CASE("clocks that differ by 500 ppm neither starve nor fill the buffer") {
    for (const double ratio : {1.0005, 0.9995}) {
        const auto said = speech(8000, 60);
        Call call(g711_settings());
        // By the listener's clock the packets come ever later, or ever earlier.
        call.run(said, [&](net::Duration at) {
            return std::optional<net::Duration>(50ms + net::Duration(static_cast<std::int64_t>(static_cast<double>(at.count()) * (ratio - 1))));
        });
        INFO(ratio << ": " << call.delay_ms() << " ms, concealed " << call.to.figures().buffer.concealed);
        CHECK(call.concealed_percent() < 0.2);
        CHECK(call.delay_ms() < 30);
    }
}

TEST_CASE("a lost packet is repaired by in-band FEC, or concealed, and time goes on") {
    const auto said = speech(16000, 20);
    for (const bool fec : {false, true}) {
        Call call(opus_settings());
        if (fec) call.from.apply({10, {}, 0});
        call.run(said, lossy_way(5ms, 10));
        const auto figures = call.to.figures().buffer;
        INFO(fec << ": concealed " << call.concealed_percent() << " %, repaired " << figures.repaired << ", delay " << call.delay_ms());
        if (fec) CHECK(call.concealed_percent() < 3);
        else CHECK((call.concealed_percent() > 8 && call.concealed_percent() < 13));
        CHECK(mouth_to_ear_ms(call, said, 16000, 19.1) <= (fec ? 75 : 60));
    }
}

TEST_CASE("redundant packets repair a fifth of random loss, and bursts") {
    auto settings = opus_settings();
    settings.red_type = 97;
    const auto said = speech(16000, 30);
    {
        Call call(settings);
        call.from.apply({0, {1, 2}, 0});
        call.run(said, lossy_way(5ms, 20));
        INFO("concealed " << call.concealed_percent() << " %, delay " << call.delay_ms());
        CHECK(call.concealed_percent() < 1.5);
        CHECK(call.delay_ms() < 80);
    }
    {
        Call call(settings);
        call.from.apply({0, {2, 6}, 0});
        // Bursts of three packets in the mean, for 5 % of the time.
        net::SeededRandom random(9);
        bool lost = false;
        call.run(speech(16000, 60), [&](net::Duration) -> std::optional<net::Duration> {
            lost = lost ? random.below(3) != 0 : random.below(57) == 0;
            return lost ? std::nullopt : std::optional<net::Duration>(5ms);
        });
        INFO("bursts: lost " << call.lost << " of " << call.sent << ", concealed " << call.concealed_percent() << " %, delay " << call.delay_ms());
        CHECK(call.lost > call.sent / 30);
        CHECK(call.concealed_percent() < 1);
    }
}

TEST_CASE("silence that was announced is not concealed, and the voice comes back") {
    auto settings = opus_settings();
    settings.sound.dtx = true;
    auto said = speech(16000, 24);
    std::fill(said.begin() + 16000 * 4, said.begin() + 16000 * 12, std::int16_t{});
    Call call(settings);
    call.run(said, steady_way(20ms));
    const auto figures = call.to.figures();
    INFO("concealed " << call.concealed_percent() << " %, packets " << figures.packets);
    CHECK(call.from.figures().sent_packets < 1000);
    CHECK(call.concealed_percent() < 0.1);
    CHECK(mouth_to_ear_ms(call, said, 16000, 16.2) <= 75);
}

TEST_CASE("a phone's comfort noise fills its pauses, and is no loss") {
    const auto said = speech(8000, 12);
    auto settings = g711_settings();
    VoiceStream from(settings), to(settings);
    std::vector<net::Bytes> packets;
    Samples played(80), heard;
    net::Steady now{50s};
    std::uint16_t skipped = 0;
    for (std::size_t at = 0; at + 80 <= said.size(); at += 80) {
        now += 10ms;
        packets.clear();
        from.capture(Sound(said).subspan(at, 80), packets);
        for (auto& packet : packets) {
            auto header = voice::engine::RtpPacket::parse(packet)->header;
            const bool pause = at >= 8000 * 4 && at < 8000 * 8;
            header.sequence = static_cast<std::uint16_t>(header.sequence - skipped);
            net::Bytes payload(packet.begin() + 12, packet.end());
            if (pause && at >= 8000 * 4 + 160) {
                ++skipped;  // nothing is sent
                continue;
            }
            if (pause) {
                header.payload_type = 13;
                payload.assign(1, std::byte{60});
            }
            to.receive(voice::engine::build_rtp(header, payload), now + 1ms);
        }
        to.play(played, now + 3ms);
        heard.insert(heard.end(), played.begin(), played.end());
    }
    const auto figures = to.figures();
    INFO("concealed " << figures.buffer.concealed << ", lost " << figures.lost);
    CHECK(figures.buffer.concealed <= 160);
    CHECK(figures.lost == 0);
    const auto noise = voice::engine::level_db(Sound(heard).subspan(8000 * 5, 8000));
    CHECK((noise > -63 && noise < -57));
    CHECK(delay_of(said, heard, 8000 * 10 + 2400, 1000, 4000) < 8 * 60);
}

TEST_CASE("a sound card that asks unevenly costs some delay and no sound") {
    for (const auto& settings : {g711_settings(), opus_settings()}) {
        const auto rate = settings.sound.rate_hz;
        Call call(settings);
        call.uneven = 7ms;
        call.run(speech(rate, 20), jittery_way(1ms, 5ms));
        INFO(rate << ": concealed " << call.concealed_percent() << " %, delay " << call.delay_ms());
        CHECK(call.concealed_percent() < 0.5);
        CHECK(call.delay_ms() < 50);
    }
}

TEST_CASE("keys pressed reach the other side, and disturb nothing") {
    Call call(opus_settings());
    CHECK(call.from.press('4', 100ms));
    CHECK(call.from.press('2', 100ms));
    call.run(speech(16000, 3), lossy_way(5ms, 10));
    CHECK(call.to.take_key() == '4');
    CHECK(call.to.take_key() == '2');
    CHECK(!call.to.take_key());
    // A key held for a second: its timestamp stands still, and the voice goes on where it is.
    CHECK(call.from.press('9', 1s));
    const auto before = call.to.figures().buffer.concealed;
    call.run(speech(16000, 3), steady_way(5ms));
    CHECK(call.to.take_key() == '9');
    CHECK(call.to.figures().restarts == 0);
    CHECK(call.to.figures().buffer.concealed - before <= 16 * 40);
    auto without = opus_settings();
    without.event_type.reset();
    CHECK(!VoiceStream(without).press('1', 100ms));
}
