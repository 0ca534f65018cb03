#include <catch2/catch.hpp>

#include "wire.hpp"

using namespace engine_test;
using voice::engine::level_db;

namespace {

net::Bytes random_bytes(net::Random& random, std::size_t size) {
    net::Bytes out(size);
    random.fill(out);
    return out;
}

}  // namespace

TEST_CASE("whatever comes in between, the call goes on") {
    const auto said = speech(16000, 10);
    Call clean(opus_settings()), call(opus_settings());
    clean.run(said, steady_way(5ms));
    net::SeededRandom random(11);
    call.each = [&] {
        if (call.now - call.start < 1s) return;
        const auto now = call.now + 3ms;
        call.to.receive({}, now);
        call.to.receive(random_bytes(random, random.below(60)), now);
        call.to.receive(random_bytes(random, 1500 + random.below(64000)), now);
        // Well-formed, of other sources, of types nobody agreed on, or with nothing in them.
        call.to.receive(voice::engine::build_rtp({96, false, static_cast<std::uint16_t>(random.u64()), static_cast<std::uint32_t>(random.u64()), 99}, random_bytes(random, 60)), now);
        call.to.receive(voice::engine::build_rtp({34, false, 1, 1, 7}, random_bytes(random, 60)), now);
        call.to.receive(voice::engine::build_rtp({96, false, 30000, 5, 7}, {}), now);
    };
    call.run(said, steady_way(5ms));
    CHECK(call.to.figures().not_ours > 1000);
    const bool same = call.heard == clean.heard;
    CHECK(same);
}

TEST_CASE("garbage instead of sound is never a noise at full level") {
    for (const auto& settings : {opus_settings(48000), g711_settings()}) {
        const auto rate = settings.sound.rate_hz;
        Call call(settings);
        net::SeededRandom random(12);
        call.change = [&](net::Bytes& packet) {
            if (call.now - call.start < 4s || call.now - call.start > 8s) return;
            const auto bytes = random_bytes(random, packet.size() - 12);
            std::copy(bytes.begin(), bytes.end(), packet.begin() + 12);
        };
        const auto said = speech(rate, 12);
        call.run(said, steady_way(5ms));
        const auto from = Sound(call.heard).subspan(rate * 4 + rate / 5, rate * 37 / 10);
        INFO(settings.codec->name << " " << level_db(from) << " dB");
        CHECK(level_db(from) < -35);
        // At no time: not even in its first frames.
        for (std::size_t at = rate * 4; at < rate * 8; at += rate / 10) CHECK(level_db(Sound(call.heard).subspan(at, rate / 10)) < -12);
        // And the voice comes back.
        CHECK(level_db(Sound(call.heard).subspan(rate * 9, rate)) > level_db(Sound(said).subspan(rate * 9, rate)) - 3);
    }
}

TEST_CASE("a sender that begins anew is heard again within a tenth of a second") {
    const auto said = speech(8000, 9);
    Call call(g711_settings());
    call.change = [&](net::Bytes& packet) {
        if (call.now - call.start < 3s) return;
        packet[2] ^= std::byte{0x40};  // a leap of the sequence number
        packet[4] ^= std::byte{0x55};  // and of the timestamp
        if (call.now - call.start > 6s) packet[11] = std::byte{9};  // then another SSRC
    };
    call.run(said, steady_way(5ms));
    CHECK(call.to.figures().restarts == 2);
    CHECK(call.concealed_percent() < 3);
    for (const double at : {4.2, 8.2}) {
        const auto from = static_cast<std::size_t>(at * 8000);
        CHECK(delay_of(said, call.heard, from, 1000, 4000) < 8 * 60);
    }
}

TEST_CASE("a clock that lies about its rate does no harm") {
    const auto said = speech(8000, 9);
    for (const int factor : {2, 3}) {
        Call call(g711_settings());
        call.change = [&, first = std::uint32_t{0}, begun = false](net::Bytes& packet) mutable {
            auto told = voice::engine::RtpPacket::parse(packet)->header;
            if (!begun) first = told.timestamp;
            begun = true;
            told.timestamp = first + (told.timestamp - first) * static_cast<unsigned>(factor);
            packet = voice::engine::build_rtp(told, net::copy(net::ByteView(packet).subspan(12)));
        };
        call.run(said, steady_way(5ms));
        CHECK(call.concealed_percent() < 3);
        CHECK(delay_of(said, call.heard, 8000 * 6 + 1600, 1000, 4000) < 8 * 60);
    }
}
