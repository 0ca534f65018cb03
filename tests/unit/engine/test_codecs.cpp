#include <catch2/catch.hpp>

#include "speech.hpp"
#include "voice/engine/concealment.hpp"
#include "voice/engine/g711.hpp"
#include "voice/engine/noise_guard.hpp"
#include "voice/engine/time_scale.hpp"

using namespace voice::engine;
using engine_test::delay_of;
using engine_test::likeness_of;
using engine_test::speech;

TEST_CASE("G.711's codes are those of its tables") {
    // Decision and output values of G.711 tables 1a to 2b, times 16 and 4 for 16 bits.
    CHECK(from_a_law(0x55 ^ 0x80) == 8);
    CHECK(from_a_law(0x55) == -8);
    CHECK(from_a_law(0xaa) == 32256);
    CHECK(from_mu_law(0x80) == 32124);
    CHECK(from_mu_law(0x00) == -32124);
    CHECK(from_mu_law(0xff) == 0);
    CHECK(to_mu_law(0) == 0xff);
    CHECK(to_a_law(0) == 0xd5);
    for (int code = 0; code < 256; ++code) {
        const auto byte = static_cast<std::uint8_t>(code);
        CHECK(to_a_law(from_a_law(byte)) == byte);
        if (byte != 0x7f) CHECK(to_mu_law(from_mu_law(byte)) == byte);  // 0x7f is minus zero
    }
    CHECK(to_a_law(-32768) == 0x2a);
    CHECK(to_mu_law(-32768) == 0x00);
}

TEST_CASE("every codec gives back what was said") {
    for (const auto* name : {"opus", "pcma", "PCMU"}) {
        const auto* kind = find_codec(name);
        REQUIRE(kind);
        CodecSettings settings;
        settings.rate_hz = kind->clock_hz == 8000 ? 8000 : 16000;
        settings.dtx = false;
        const auto encoder = kind->encoder(settings);
        const auto decoder = kind->decoder(settings.rate_hz);
        const auto said = speech(settings.rate_hz, 1.6);
        Samples heard;
        for (std::size_t at = 0; at < said.size(); at += settings.rate_hz / 50) {
            const auto payload = encoder->encode(Sound(said).subspan(at, settings.rate_hz / 50));
            REQUIRE(decoder->samples_in(payload) == settings.rate_hz / 50);
            CHECK(decoder->decode(payload, heard));
        }
        REQUIRE(heard.size() == said.size());
        const auto delay = delay_of(said, heard, settings.rate_hz / 2, settings.rate_hz / 10, settings.rate_hz / 50);
        INFO(name << " " << delay);
        CHECK(delay <= settings.rate_hz * 7 / 1000);  // RFC 6716 2.1.7: Opus looks 6.5 ms ahead
        CHECK(likeness_of(Sound(said).first(said.size() - delay), Sound(heard).subspan(delay)) > 0.8);
    }
    CHECK(!find_codec("G729"));
    CHECK_THROWS(find_codec("opus")->decoder(44100));
    CHECK_THROWS(find_codec("pcmu")->decoder(16000));
}

TEST_CASE("Opus sends nearly nothing while nobody speaks, and says so") {
    CodecSettings settings;
    const auto encoder = find_codec("opus")->encoder(settings);
    const auto decoder = find_codec("opus")->decoder(48000);
    Samples silence(960);
    std::size_t bytes = 0, packets = 0;
    for (int i = 0; i < 50; ++i) encoder->encode(silence);  // it listens for a while first
    for (int i = 0; i < 500; ++i) {
        const auto payload = encoder->encode(silence);
        if (payload.empty()) continue;
        ++packets;
        bytes += payload.size() + 40;  // IP, UDP, RTP
    }
    CHECK(packets <= 27);
    CHECK(bytes * 8 / 10 < 2000);  // bits a second
    CHECK(decoder->is_silence(net::Bytes(1), false));
}

TEST_CASE("a lost packet's sound comes with the next one once loss is reported") {
    CodecSettings settings;
    settings.rate_hz = 16000;
    settings.dtx = false;
    const auto encoder = find_codec("opus")->encoder(settings);
    const auto decoder = find_codec("opus")->decoder(16000);
    const auto said = speech(16000, 1.6);
    for (const unsigned loss : {0U, 20U}) {
        encoder->set_loss(loss);
        unsigned repairing = 0;
        for (std::size_t at = 0; at + 320 <= said.size(); at += 320) {
            const auto payload = encoder->encode(Sound(said).subspan(at, 320));
            const auto samples = decoder->repairs(payload);
            if (samples == 0) continue;
            ++repairing;
            CHECK(samples == 320);
            Samples out;
            decoder->decode_repair(payload, out);
            CHECK(out.size() == 320);
        }
        CHECK((loss == 0 ? repairing == 0 : repairing > 40));
    }
}

TEST_CASE("concealment goes on with the voice, and fades") {
    const auto said = speech(8000, 1.2);
    for (const std::size_t at : {1000U, 3300U, 5200U}) {
        Concealment concealment(8000);
        Samples before(said.begin(), said.begin() + static_cast<std::ptrdiff_t>(at));
        concealment.good(before);
        Samples out;
        concealment.conceal(1600, out);
        const auto first = Sound(out).first(80);
        CHECK(likeness_of(first, Sound(said).subspan(at, 80)) > 0.5);
        CHECK(level_db(first) < level_db(Sound(said).subspan(at - 160, 160)) + 3);
        CHECK(level_db(Sound(out).subspan(480)) == -100);
        Samples after(said.begin() + static_cast<std::ptrdiff_t>(at) + 1600, said.begin() + static_cast<std::ptrdiff_t>(at) + 1760);
        concealment.good(after);
        CHECK(std::equal(after.begin() + 80, after.end(), said.begin() + static_cast<std::ptrdiff_t>(at) + 1680));
    }
}

TEST_CASE("time is scaled by whole periods, without a click") {
    for (const unsigned rate : {8000U, 16000U, 48000U}) {
        TimeScale scale(rate);
        Samples tone(rate / 20);  // 50 ms of 150 Hz
        const auto wave = [&](double i) { return static_cast<std::int16_t>(8000 * std::sin(6.283185307 * 150 * i / rate)); };
        for (std::size_t i = 0; i < tone.size(); ++i) tone[i] = wave(static_cast<double>(i));
        const auto steepest = [](Sound sound) {
            int most = 0;
            for (std::size_t i = 1; i < sound.size(); ++i) most = std::max(most, std::abs(sound[i] - sound[i - 1]));
            return most;
        };
        const auto natural = steepest(tone);
        auto shorter = tone;
        const auto taken = scale.shorten(shorter, rate / 50, 0.6);
        const auto periods = static_cast<double>(taken) * 150 / rate;
        CHECK(taken > 0);
        CHECK(std::abs(periods - std::round(periods)) < 0.05);
        CHECK(shorter.size() + taken == tone.size());
        CHECK(steepest(shorter) <= natural * 5 / 4);
        Samples next(rate / 50);
        for (std::size_t i = 0; i < next.size(); ++i) next[i] = wave(static_cast<double>(tone.size() + i));
        auto longer = next;
        const auto added = scale.lengthen(tone, longer, 0.6);
        CHECK(added > 0);
        CHECK(longer.size() == next.size() + added);
        CHECK(steepest(longer) <= natural * 5 / 4);
        CHECK(std::abs(longer[0] - tone.back()) <= natural * 5 / 4);
        CHECK(std::equal(next.end() - static_cast<std::ptrdiff_t>(rate / 100), next.end(), longer.end() - static_cast<std::ptrdiff_t>(rate / 100)));
        Samples none(rate / 200);
        CHECK(scale.shorten(none, rate, 0.6) == 0);
        CHECK(scale.lengthen(tone, none, 0.6) == 0);
    }
}

TEST_CASE("loud noise is turned down at once, speech and tones are not") {
    for (const unsigned rate : {8000U, 48000U}) {
        net::SeededRandom random(3);
        NoiseGuard guard;
        Samples frame(rate / 100);
        for (int i = 0; i < 20; ++i) {
            for (auto& sample : frame) sample = static_cast<std::int16_t>(random.u64());
            guard.check(frame);
            CHECK(level_db(frame) < -35);
        }
        NoiseGuard fresh;
        auto said = speech(rate, 4);
        const auto before = said;
        for (std::size_t at = 0; at < said.size(); at += rate / 100) fresh.check(std::span(said).subspan(at, rate / 100));
        const bool untouched = said == before;
        CHECK(untouched);
        for (const double hz : {425.0, 1000.0, 2100.0, 3400.0}) {
            for (std::size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<std::int16_t>(20000 * std::sin(6.283185307 * hz * static_cast<double>(i) / rate));
            const auto tone = frame;
            fresh.check(frame);
            const bool whole = frame == tone;
            CHECK(whole);
        }
    }
}
