#include <catch2/catch.hpp>

#include "mesh/shaper.hpp"
#include "net/random.hpp"

using namespace std::chrono_literals;
using mesh::Shaper;
using mesh::Uplink;

namespace {

constexpr std::uint64_t kTenMegabit = 1'250'000;

Shaper::Packet packet(std::size_t bytes, net::Steady now) { return {net::Bytes(bytes), now}; }

/// Offers bulk at a rate and sends it as the uplink opens; the time is virtual.
struct Link {
    explicit Link(std::uint64_t rate) : uplink(rate), shaper(rate) {}

    void run(net::Duration span, std::uint64_t offered_bytes_per_s, std::size_t voice_every_20ms = 0) {
        const auto end = now + span;
        for (; now < end; now += 100us) {
            offered += static_cast<double>(offered_bytes_per_s) / 10000;
            for (; offered >= 1400; offered -= 1400) refused += shaper.push(packet(1400, now)) ? 0 : 1;
            if (voice_every_20ms != 0 && (now.time_since_epoch() % 20ms) == 0us) uplink.spend(voice_every_20ms, now);
            while (uplink.open_at(now) <= now) {
                const auto next = shaper.pop(now, dropped);
                if (!next) break;
                uplink.spend(next->bytes.size(), now);
                sent_bytes += next->bytes.size();
                longest = std::max(longest, now - next->since);
                waits.push_back(now - next->since);
            }
        }
    }
    Uplink uplink;
    Shaper shaper;
    net::Steady now{1h};
    double offered = 0;
    std::uint64_t sent_bytes = 0, dropped = 0, refused = 0;
    net::Duration longest{};
    std::vector<net::Duration> waits;
};

}  // namespace

TEST_CASE("bulk leaves at the uplink's rate, and at once where that is not reached") {
    Link link(kTenMegabit);
    link.run(2s, kTenMegabit / 2);
    CHECK(link.sent_bytes == Approx(kTenMegabit).epsilon(0.01));
    CHECK(link.longest <= 1ms);
    CHECK(link.dropped == 0);
    Link busy(kTenMegabit);
    busy.run(4s, 2 * kTenMegabit);
    CHECK(busy.sent_bytes == Approx(4 * kTenMegabit).epsilon(0.01));
}

TEST_CASE("voice takes from the rate of bulk, and bulk leaves the rest of the time") {
    Link link(kTenMegabit);
    link.run(4s, 2 * kTenMegabit, 250);
    CHECK(link.sent_bytes == Approx(4 * (kTenMegabit - 250 * 50)).epsilon(0.01));
}

TEST_CASE("a queue that stays long is made short by dropping, more and more often, and never drops in a burst") {
    Link link(kTenMegabit);
    link.run(80ms, 20 * kTenMegabit);  // a burst: 2 MB against what a tenth of that time takes
    CHECK(link.dropped == 0);
    const auto after_burst = link.dropped;
    link.run(10s, kTenMegabit + kTenMegabit / 20);  // and 5 % more than the uplink takes
    CHECK(link.dropped > after_burst + 20);
    // What waits at the end waits for about as long as it should.
    auto last = std::vector(link.waits.end() - 200, link.waits.end());
    std::sort(last.begin(), last.end());
    CHECK(last[100] < 40ms);
}

TEST_CASE("what may be marked instead of being dropped is marked, and leaves") {
    Shaper shaper(kTenMegabit);
    net::Steady now{1h};
    std::uint64_t dropped = 0;
    int pushed = 0, popped = 0, marked = 0;
    for (int i = 0; i < 2000; ++i, now += 1ms) {
        auto one = packet(1400, now);
        one.bytes[0] = std::byte{0x45};
        one.bytes[1] = std::byte{2};  // ECT(0)
        if (shaper.push(std::move(one))) ++pushed;
        if (i < 20) continue;  // from then on 20 ms of them wait
        const auto leaves = shaper.pop(now, dropped);
        REQUIRE(leaves);
        ++popped;
        if (leaves->bytes[1] == std::byte{3}) ++marked;
    }
    CHECK(marked > 20);
    CHECK(dropped == 0);
    CHECK(popped + 20 == pushed);
}

TEST_CASE("a queue holds no more than half a second's worth") {
    Shaper shaper(kTenMegabit);
    const net::Steady now{1h};
    std::size_t taken = 0;
    while (shaper.push(packet(1400, now))) ++taken;
    CHECK(taken == kTenMegabit / 2 / 1400);
    CHECK(shaper.bytes() == taken * 1400);
}

TEST_CASE("a slow uplink may keep a packet as long as two take") {
    CHECK(Shaper(kTenMegabit).target() == 5ms);
    CHECK(Shaper(125'000).target() == 24ms);
    CHECK(Shaper(1).target() > 0ms);  // whatever a person writes
}

TEST_CASE("what leaves is what came, in order, but for what was dropped") {
    net::SeededRandom random(5);
    Shaper shaper(kTenMegabit);
    net::Steady now{1h};
    std::uint64_t dropped = 0;
    std::size_t pushed = 0, popped = 0, next = 0;
    for (int i = 0; i < 20000; ++i) {
        now += std::chrono::microseconds(random.below(3000));
        if (random.below(2) == 0) {
            auto one = packet(40 + random.below(1400), now);
            const auto number = static_cast<std::uint32_t>(pushed);
            for (unsigned k = 0; k < 4; ++k) one.bytes[20 + k] = static_cast<std::byte>(number >> 8 * k & 0xff);
            if (shaper.push(std::move(one))) ++pushed;
        } else if (const auto one = shaper.pop(now, dropped)) {
            const auto number = net::Reader(net::ByteView(one->bytes).subspan(20)).u32le();
            CHECK(number >= next);
            next = number + 1;
            ++popped;
        }
    }
    while (shaper.pop(now, dropped)) ++popped;
    CHECK(pushed == popped + dropped);
    CHECK(shaper.bytes() == 0);
}

TEST_CASE("the slowest uplink that may be written is not sent more than it takes") {
    Link link(8'000);
    link.run(60s, 16'000);
    CHECK(link.sent_bytes == Approx(60 * 8'000).epsilon(0.03));
}

TEST_CASE("an uplink that is asked often loses none of its rate") {
    const auto rate = GENERATE(as<std::uint64_t>(), 8'000, 125'000, 1'250'000, 100'000'000);
    Uplink uplink(rate);
    net::Steady now{1h};
    std::uint64_t sent = 0;
    for (const auto end = now + 2s; now < end; now += 13us) {
        while (uplink.open_at(now) <= now) {
            uplink.spend(1000, now);
            sent += 1000;
        }
    }
    CHECK(sent == Approx(2 * rate).epsilon(0.01).margin(4000));
}

TEST_CASE("an uplink faster than anything is none") {
    Uplink uplink(GENERATE(as<std::uint64_t>(), 12'500'000'000, std::uint64_t{1} << 62));
    net::Steady now{1h};
    for (int i = 0; i < 3; ++i) {
        REQUIRE(uplink.open_at(now) <= now);
        uplink.spend(1 << 20, now);
        now += 1s;
    }
}

TEST_CASE("of what calls itself voice, no more than its share goes as voice, and the rest is counted") {
    const auto rate = GENERATE(as<std::uint64_t>(), 125'000, 1'250'000);
    Uplink uplink(rate);
    net::Steady now{1h};
    std::uint64_t bulk_bytes = 0, refused = 0, calls_refused = 0;
    const auto begin = now;
    for (; now < begin + 10s; now += 1ms) {
        for (std::uint64_t offered = 0; offered < 2 * rate / 1000; offered += 1400) {
            if (uplink.admits_voice(1400, now)) {
                bulk_bytes += 1400 + 80;
            } else {
                ++refused;
            }
        }
        if ((now - begin) % 20ms == 0ms) calls_refused += uplink.admits_voice(200, now) ? 0 : 1;
    }
    const auto call_bytes = (500 - calls_refused) * 280;
    CHECK(static_cast<double>(bulk_bytes + call_bytes) <= static_cast<double>(rate) * 0.7 * 10.1 + 6001);
    CHECK(static_cast<double>(bulk_bytes + call_bytes) >= static_cast<double>(rate) * 0.7 * 9.8);
    CHECK(refused > 0);
    CHECK(calls_refused == 0);  // large packets leave room for those of a call
    CHECK(uplink.voice_over_share() == refused + calls_refused);
}

TEST_CASE("calls within voice's share go as voice, their packets all at once as well") {
    constexpr std::uint64_t kMegabit = 125'000;
    Uplink uplink(kMegabit);
    net::Steady now{1h};
    for (int turn = 0; turn < 500; ++turn, now += 20ms) {
        for (int call = 0; call < 6; ++call) CHECK(uplink.admits_voice(200, now));  // 84,000 bytes a second of 87,500
    }
    CHECK(uplink.voice_over_share() == 0);
}
