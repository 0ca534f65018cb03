/// The jitter buffer: packets in as the network brings them, sound out in even steps.
///
///                 the first packet is due
///   waiting  ------------------------------->  playing
///      ^                                          |  a packet is missing, later ones are there: repaired by what a later
///      |                                          |    one holds, or concealed; time goes on
///      |         nothing for a second             |  nothing is there: concealed, and time stands still, so that what is
///      +------------------------------------------+    only late is played yet, and later
///
/// While it plays, sound is shortened or lengthened by periods of the voice until it is as late as DelayTarget wants it.
/// Silence that the sender announced is not concealed but filled, and after it any delay may be had.
#pragma once

#include <map>

#include "voice/engine/codec.hpp"
#include "voice/engine/delay_target.hpp"
#include "voice/engine/source.hpp"
#include "voice/engine/time_scale.hpp"

namespace voice::engine {

/// Since the start; in samples of the sound where not said otherwise.
struct BufferFigures {
    std::uint64_t played = 0;      ///< while a stream played, silence that was announced left out
    std::uint64_t concealed = 0;   ///< of these, without any packet for them
    std::uint64_t repaired = 0;    ///< by what a later packet held of them (a redundant block, or in-band FEC)
    std::uint64_t shortened = 0, lengthened = 0;  ///< by time-scaling
    std::uint64_t late = 0;        ///< packets that came after their time
    std::uint64_t discarded = 0;   ///< packets beyond what the buffer holds
    std::uint64_t garbage = 0;     ///< packets that the codec refused, or that were no sound of its
    net::Duration delay{};         ///< from the fastest packet's arrival to its sound, lately
    net::Duration target{};        ///< what it shall be
    net::Duration depth{};         ///< of sound in the buffer
};

class JitterBuffer {
public:
    static constexpr net::Duration kMostHeld = std::chrono::seconds(1);
    static constexpr std::size_t kMostPackets = 256;

    /// The decoder is borrowed for good, and makes sound of `rate_hz`. `clock_hz` is RTP's, a multiple of it.
    JitterBuffer(Decoder& decoder, unsigned clock_hz, unsigned rate_hz);

    /// A payload that lies at `place`. One that is there already (a redundant block came first) is not taken again.
    void insert(const Source::Place& place, net::ByteView payload, net::Steady now);
    /// A redundant copy, `back_ticks` before the packet at `place`.
    void insert_copy(const Source::Place& place, std::uint32_t back_ticks, net::ByteView payload, net::Steady now);
    /// From `place` on the sender sends no sound (a telephone event, or nobody speaks): what is missing there is silence, or
    /// noise of that level (dB below full scale).
    void pause(const Source::Place& place, double noise_db = -100);
    /// Fills `out`, 10 ms of sound, to be heard from `now` on. Call it each 10 ms.
    void play(std::span<std::int16_t> out, net::Steady now);

    const BufferFigures& figures() const { return figures_; }
    std::int64_t ticks_in(net::ByteView payload) const;

private:
    enum class State : std::uint8_t { waiting, playing };
    struct Stored {
        net::Bytes payload;
        std::int64_t ticks;
        std::int64_t sequence;
        bool copy;
    };
    using Packets = std::map<std::int64_t, Stored>;

    void clear();
    void store(std::int64_t at, Stored stored, net::Steady now);
    void step(std::size_t wanted, net::Steady now);
    void fill_gap(std::int64_t gap, const Stored& next);
    void decode(Packets::iterator at);
    void fill(bool counts, bool holds);
    void fill_with_noise(std::size_t samples);
    void note_fetch(net::Steady now);
    void adjust(std::size_t wanted, net::Steady now);
    void scaled(std::size_t samples, int sign);
    void drop_late();
    net::Duration lag(std::int64_t ticks, net::Steady now) const;
    net::Duration lag_of_next_sample(net::Steady now) const;
    std::int64_t ticks(std::size_t samples) const { return static_cast<std::int64_t>(samples) * ticks_per_sample_; }
    bool contiguous(const Packets::const_iterator& at) const;

    Decoder& decoder_;
    unsigned clock_hz_, rate_hz_;
    std::int64_t ticks_per_sample_;
    TimeScale scale_;
    DelayTarget target_;
    State state_ = State::waiting;
    Packets packets_;
    std::int64_t next_ = 0;           ///< the place where ready_ ends
    std::int64_t last_sequence_ = 0;  ///< of the last packet decoded
    std::int64_t held_ = 0;           ///< ticks concealed since time stood still
    std::size_t held_ready_ = 0;      ///< samples of these in ready_
    bool silence_ = false;            ///< the sender said so
    std::optional<std::int64_t> pause_at_;  ///< a pause that has not begun yet, or the last one
    double noise_db_ = -100;          ///< in it
    std::uint32_t noise_ = 1;         ///< its generator's state
    unsigned suspicion_ = 0;          ///< that this is no sound of the codec's
    net::Bytes last_payload_;         ///< its first bytes
    Samples ready_;                   ///< decoded, not played
    Samples history_;                 ///< the last 25 ms that were played
    net::Duration fetch_lag_{}, smooth_lag_{};  ///< of packets when they are asked for: now, and lately
    std::size_t slack_ = 0;           ///< samples that were left then
    std::size_t since_scaling_ = 0;   ///< samples
    BufferFigures figures_;
};

}  // namespace voice::engine
