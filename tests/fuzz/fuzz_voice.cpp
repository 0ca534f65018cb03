// A call's packets as strangers may send them. The first byte chooses the codec and how much is played between packets; then
// packets, each behind a byte of kind and two of length: RTP, RTCP, or the time that passes.
#include <algorithm>
#include <cstdlib>

#include "voice/engine/voice_stream.hpp"

namespace {

using namespace voice::engine;

void require(bool holds) {
    if (!holds) std::abort();
}

constexpr std::size_t kMostPackets = 64;

void check(const VoiceStream& stream) {
    const auto figures = stream.figures();
    require(figures.buffer.depth <= JitterBuffer::kMostHeld + std::chrono::milliseconds(400));
    require(figures.buffer.target <= DelayTarget::kMost + DelayTarget::kMargin);
    require(figures.quality.mos >= 1 && figures.quality.mos <= 4.5);
    require(figures.lost <= figures.expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    net::Reader in(std::as_bytes(std::span(data, size)));
    const unsigned choice = in.u8();
    StreamSettings settings;
    settings.codec = find_codec((choice & 1U) != 0 ? "opus" : "PCMA");
    settings.sound.rate_hz = (choice & 1U) != 0 ? 16000 : 8000;
    settings.payload_type = 96;
    settings.red_type = 97;
    settings.event_type = 101;
    settings.ssrc = 7;
    VoiceStream stream(settings);
    Samples frame(stream.frame_samples());
    net::SeededRandom random(choice);
    net::Now now{net::Steady(std::chrono::seconds(100)), net::Wall(std::chrono::seconds(1'700'000'000))};
    const auto pass = [&](net::Duration time) {
        now.steady += time;
        now.wall += time;
    };
    for (std::size_t packets = 0; packets < kMostPackets && in.left() >= 3; ++packets) {
        const unsigned kind = in.u8();
        const std::size_t length = in.u16be();
        const auto bytes = in.bytes(std::min(length, in.left()));
        if (kind == 'c') {
            stream.receive_rtcp(bytes, now);
            require(RtcpReport::parse(stream.report(now, random, "fuzz"), 7).has_value());
        } else if (kind == 't') {
            pass(std::chrono::milliseconds(length));
        } else {
            stream.receive(bytes, now.steady);
        }
        for (unsigned i = choice >> 1 & 3U; i > 0; --i, pass(std::chrono::milliseconds(10))) stream.play(frame, now.steady);
        check(stream);
        while (stream.take_key()) {}
    }
    for (int i = 0; i < 4; ++i, pass(std::chrono::milliseconds(10))) stream.play(frame, now.steady);
    check(stream);
    return 0;
}
