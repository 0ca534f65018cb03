/// A call one way under a virtual clock: speech -> one stream -> a wire that delays and loses -> another stream -> sound.
#pragma once

#include <functional>
#include <map>

#include "speech.hpp"
#include "voice/engine/voice_stream.hpp"

namespace engine_test {

using namespace std::chrono_literals;
using voice::engine::StreamFigures;
using voice::engine::StreamSettings;
using voice::engine::VoiceStream;

inline StreamSettings opus_settings(unsigned rate_hz = 16000) {
    StreamSettings out;
    out.codec = voice::engine::find_codec("opus");
    out.sound.rate_hz = rate_hz;
    out.sound.complexity = 2;
    out.sound.dtx = false;
    out.payload_type = 96;
    out.event_type = 101;
    out.ssrc = 7;
    out.sequence = 65500;
    out.timestamp = 0xfffff000;
    return out;
}
inline StreamSettings g711_settings() {
    StreamSettings out = opus_settings(8000);
    out.codec = voice::engine::find_codec("PCMA");
    out.payload_type = 8;
    return out;
}

/// What the wire does with a packet that is sent at `at` since the beginning: how long it takes; nullopt loses it.
using Way = std::function<std::optional<net::Duration>(net::Duration at)>;

struct Call {
    explicit Call(const StreamSettings& settings) : Call(settings, settings) {}
    Call(const StreamSettings& sends, const StreamSettings& takes) : from(sends), to(takes) {}

    /// Speaks `said`; whoever listens plays 3 ms after each 10 ms.
    void run(Sound said, const Way& way) {
        const auto frame = from.frame_samples();
        Samples played(to.frame_samples());
        std::vector<net::Bytes> packets;
        for (std::size_t at = 0; at + frame <= said.size(); at += frame) {
            packets.clear();
            now += 10ms;
            from.capture(said.subspan(at, frame), packets);
            for (auto& packet : packets) {
                if (change) change(packet);
                ++sent;
                if (const auto time = way(now - start)) on_wire.emplace(now + *time, std::move(packet));
                else ++lost;
            }
            const auto play_at = now + 3ms + (uneven == net::Duration{} ? net::Duration{} : net::Duration(random.below(static_cast<std::uint64_t>(uneven.count()))));
            while (!on_wire.empty() && on_wire.begin()->first <= play_at) {
                to.receive(on_wire.begin()->second, on_wire.begin()->first);
                on_wire.erase(on_wire.begin());
            }
            to.play(played, play_at);
            heard.insert(heard.end(), played.begin(), played.end());
            if (each) each();
        }
    }
    double concealed_percent() const {
        const auto figures = to.figures().buffer;
        return 100.0 * static_cast<double>(figures.concealed) / static_cast<double>(std::max<std::uint64_t>(figures.played, 1));
    }
    double delay_ms() const { return std::chrono::duration<double, std::milli>(to.figures().buffer.delay).count(); }

    const net::Steady start{1000s};
    net::Steady now = start;
    VoiceStream from, to;
    std::multimap<net::Steady, net::Bytes> on_wire;
    Samples heard;  ///< begins 10 ms after the first sample was spoken, as `said` is heard from 13 ms on
    std::function<void(net::Bytes&)> change;  ///< of each packet sent
    std::function<void()> each;               ///< after each 10 ms
    net::Duration uneven{};                   ///< later than that by up to so much
    net::SeededRandom random{21};
    unsigned sent = 0, lost = 0;
};

inline Way steady_way(net::Duration time) {
    return [time](net::Duration) { return time; };
}
/// Even between the two, each packet by itself: so they overtake each other.
inline Way jittery_way(net::Duration least, net::Duration most, std::uint64_t seed = 5) {
    return [=, random = net::SeededRandom(seed)](net::Duration) mutable { return std::optional(least + net::Duration(random.below(static_cast<std::uint64_t>((most - least).count()) + 1))); };
}
inline Way lossy_way(net::Duration time, unsigned percent, std::uint64_t seed = 6) {
    return [=, random = net::SeededRandom(seed)](net::Duration) mutable { return random.below(100) < percent ? std::nullopt : std::optional(time); };
}

}  // namespace engine_test
