#include <catch2/catch.hpp>

#include "speech.hpp"
#include "voice/engine/mixer.hpp"
#include "voice/engine/resampler.hpp"
#include "voice/engine/time_scale.hpp"
#include "voice/engine/tone.hpp"
#include "voice/engine/wav.hpp"

using namespace voice::engine;
using engine_test::delay_of;
using engine_test::likeness_of;
using engine_test::speech;

TEST_CASE("everybody in a conference hears the others and not himself") {
    Mixer mixer(4);
    CHECK((mixer.join(1) && mixer.join(2) && mixer.join(3)));
    CHECK(!mixer.join(2));
    mixer.say(1, Samples{100, 200, 300, 400});
    mixer.say(2, Samples{7, 7, 7, 7});
    mixer.say(2, Samples{10, 20, 30, 40});  // the last one counts
    mixer.say(9, Samples{1000, 1000, 1000, 1000});
    mixer.say(3, Samples{1, 2});
    Samples frame(4);
    mixer.hear(1, frame);
    CHECK(frame == Samples{10, 20, 30, 40});
    mixer.hear(3, frame);
    CHECK(frame == Samples{110, 220, 330, 440});
    mixer.leave(1);
    mixer.hear(3, frame);
    CHECK(frame == Samples{10, 20, 30, 40});
    mixer.hear(1, frame);
    CHECK(frame == Samples(4));
    mixer.next();
    mixer.hear(3, frame);
    CHECK(frame == Samples(4));
    for (Mixer::Member member = 10; mixer.size() < Mixer::kMostMembers; ++member) CHECK(mixer.join(member));
    CHECK(!mixer.join(99));
}

TEST_CASE("eight who shout together are turned down, not cut") {
    Mixer mixer(80);
    for (Mixer::Member member = 0; member < 8; ++member) mixer.join(member);
    Samples frame(80);
    for (int step = 0; step < 50; ++step) {
        for (Mixer::Member member = 1; member < 8; ++member) {
            for (std::size_t i = 0; i < 80; ++i) frame[i] = static_cast<std::int16_t>(15000 * std::sin(6.283185307 * static_cast<double>(i) / 20));
            mixer.say(member, frame);
        }
        mixer.hear(0, frame);
        mixer.next();
        if (step < 2) continue;
        int clipped = 0;
        for (const auto sample : frame) clipped += std::abs(int{sample}) >= 32700 ? 1 : 0;
        CHECK(clipped == 0);
        CHECK(level_db(frame) > -6);
    }
}

TEST_CASE("a sound file that is written is read back") {
    const auto said = speech(16000, 0.5);
    auto file = wav_header(16000, said.size());
    CHECK(file.size() == kWavHeaderBytes);
    const auto bytes = wav_samples(said);
    file.insert(file.end(), bytes.begin(), bytes.end());
    const auto read = parse_wav(file);
    REQUIRE(read);
    CHECK(read->rate_hz == 16000);
    const bool same = read->samples == said;
    CHECK(same);
    // Cut short, it holds what is there.
    CHECK(parse_wav(net::ByteView(file).first(kWavHeaderBytes + 200))->samples.size() == 100);
    // A header whose length was never written.
    auto unfinished = wav_header(16000, 0);
    unfinished.insert(unfinished.end(), bytes.begin(), bytes.end());
    CHECK(parse_wav(unfinished)->samples.size() == said.size());
    CHECK(parse_wav(wav_header(16000, UINT64_MAX / 4)));
}

TEST_CASE("a file that is no PCM of 16 bits is refused in words") {
    const auto reason = [](net::Bytes file) {
        const auto read = parse_wav(file);
        return read ? std::string("none") : read.error().message;
    };
    const auto good = wav_header(8000, 10);
    CHECK(reason({}) == "it is no RIFF WAVE file");
    CHECK(reason(net::copy(net::as_bytes("OggS and so on, for a while"))) == "it is no RIFF WAVE file");
    CHECK(reason(net::copy(net::ByteView(good).first(36))) == "it has no sound in it");
    auto other = good;
    other[20] = std::byte{6};
    CHECK(reason(other) == "its sound is not PCM of 16 bits");
    other = good;
    other[22] = std::byte{0};
    CHECK(reason(other) == "it has 0 channels: 1 to 8 can be read");
    other = good;
    other[25] = std::byte{0};
    CHECK(reason(other) == "its rate is 64 Hz: 8000 to 192000 can be read");
    other = good;
    other[16] = std::byte{4};
    CHECK(reason(other) == "its format chunk is cut short");
}

TEST_CASE("sound keeps its shape from one rate to another") {
    for (const auto& [from, to] : {std::pair{8000U, 48000U}, std::pair{48000U, 16000U}, std::pair{44100U, 48000U}, std::pair{16000U, 16000U}}) {
        const auto said = speech(from, 1.5);
        Resampler resampler(from, to);
        Samples out;
        for (std::size_t at = 0; at + from / 100 <= said.size(); at += from / 100) resampler.run(Sound(said).subspan(at, from / 100), out);
        CHECK(std::abs(static_cast<double>(out.size()) - 1.5 * to) < to / 100.0);
        CHECK(std::abs(level_db(out) - level_db(said)) < 0.5);
        // Back again, it is what it was.
        Resampler back(to, from);
        Samples again;
        back.run(out, again);
        const auto delay = delay_of(said, again, from / 2, from / 10, from / 50);
        INFO(from << " to " << to << ": " << delay);
        CHECK(delay <= from / 100);
        CHECK(likeness_of(Sound(said).first(again.size() - delay), Sound(again).subspan(delay)) > 0.95);
    }
    CHECK_THROWS(Resampler(0, 8000));
    CHECK_THROWS(Resampler(8000, 400000));
}

TEST_CASE("tones come and go as they are told to, without a click") {
    Tone tone(kBusy, 8000);
    Samples sound;
    for (int i = 0; i < 200; ++i) {
        Samples frame(80);
        tone.add(frame);
        sound.insert(sound.end(), frame.begin(), frame.end());
    }
    CHECK(level_db(Sound(sound).subspan(400, 3200)) == Approx(-23).margin(0.3));
    CHECK(level_db(Sound(sound).subspan(4000, 4000)) == -100);
    CHECK(level_db(Sound(sound).subspan(8400, 3200)) == Approx(-23).margin(0.3));
    int steepest = 0;
    for (std::size_t i = 1; i < sound.size(); ++i) steepest = std::max(steepest, std::abs(sound[i] - sound[i - 1]));
    CHECK(steepest < 1200);
    Tone loud(kTest, 8000);
    Samples full(80, 32000);
    loud.add(full);
    CHECK(*std::max_element(full.begin(), full.end()) == 32767);
}
