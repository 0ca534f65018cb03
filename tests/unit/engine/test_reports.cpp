#include <catch2/catch.hpp>

#include "wire.hpp"

using namespace engine_test;
using namespace voice::engine;

namespace {

net::Now both(net::Steady at) { return {at, net::Wall(1'700'000'000s) + (at - net::Steady{})}; }

}  // namespace

TEST_CASE("what is built as RTCP is read back") {
    RtcpReport report;
    report.from = 0x11223344;
    report.sender = SenderInfo{0x0102030405060708, 5, 6, 7};
    report.reception = ReceptionReport{64, -3, 0x10005, 99, 0xabcdef01, 65536};
    report.metrics = VoipMetrics{};
    report.metrics->loss_rate = 12;
    report.metrics->burst_ms = 80;
    report.metrics->round_trip_ms = 260;
    report.metrics->signal_level = static_cast<std::uint8_t>(-20);
    report.metrics->mos_conversation = 41;
    report.metrics->concealment = 3;
    report.metrics->jitter_buffer = 2;
    report.metrics->buffer_limit_ms = 1000;
    report.goodbye = true;
    for (const auto* name : {"", "a", "abc", "node@mesh"}) {
        const auto bytes = build_rtcp(report, 42, name);
        CHECK(bytes.size() % 4 == 0);
        const auto read = RtcpReport::parse(bytes, 42);
        REQUIRE(read);
        CHECK((read->from == report.from && read->sender->ntp == report.sender->ntp && read->sender->bytes == 7));
        REQUIRE(read->reception);
        CHECK((read->reception->fraction_lost == 64 && read->reception->lost == -3 && read->reception->highest_sequence == 0x10005));
        CHECK((read->reception->jitter_ticks == 99 && read->reception->last_sender_report == 0xabcdef01 && read->reception->delay_since == 65536));
        REQUIRE(read->metrics);
        CHECK((read->metrics->loss_rate == 12 && read->metrics->burst_ms == 80 && read->metrics->round_trip_ms == 260));
        CHECK((static_cast<std::int8_t>(read->metrics->signal_level) == -20 && read->metrics->mos_conversation == 41 && read->metrics->concealment == 3));
        CHECK((read->metrics->jitter_buffer == 2 && read->metrics->buffer_limit_ms == 1000 && read->metrics->gap_min == 16));
        CHECK(read->goodbye);
        // About somebody else.
        const auto other = RtcpReport::parse(bytes, 43);
        REQUIRE(other);
        CHECK((!other->reception && !other->metrics));
        for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
            const auto part = RtcpReport::parse(net::ByteView(bytes).first(cut), 42);
            CHECK((!part || cut % 4 == 0));
        }
    }
    CHECK(!RtcpReport::parse({}, 1));
}

TEST_CASE("losses are counted, and their bursts told apart from single ones") {
    LossRuns runs;
    // 100 that came with one lost, a burst of 3 lost, 1 that came, 1 lost; then 200 that came.
    for (std::int64_t i = 0; i < 400; ++i) {
        if (i != 50 && (i < 100 || i > 104 || i == 103)) runs.received(65000 + i, false);
    }
    CHECK(runs.bursts == 1);
    CHECK((runs.burst_lost == 4 && runs.burst_packets == 5));
    CHECK(runs.gap_lost == 1);
    Reception reception(8000);
    net::Steady now{50s};
    for (int i = 0; i < 100; ++i) {
        now += 20ms;
        RtpHeader header;
        header.timestamp = static_cast<std::uint32_t>(160 * i);
        if (i % 4 != 1) reception.received({160 * i, 70000 + i, i == 0, true}, header, now);
    }
    const auto report = reception.report(now);
    CHECK((report.lost == 25 && report.fraction_lost == 64 && report.highest_sequence == 70099));
    CHECK(reception.report(now).fraction_lost == 0);
    CHECK(reception.jitter_ms() < 0.1);
}

TEST_CASE("both sides know the round trip, and loss sets repair going") {
    auto settings = opus_settings();
    settings.red_type = 97;
    Call call(settings);
    net::SeededRandom random(8);
    std::multimap<net::Steady, net::Bytes> back, forth;
    call.each = [&] {
        if (call.now >= call.to.report_at()) back.emplace(call.now + 40ms, call.to.report(both(call.now), random, "to"));
        if (call.now >= call.from.report_at()) forth.emplace(call.now + 30ms, call.from.report(both(call.now), random, "from"));
        const auto deliver = [&](auto& packets, VoiceStream& stream) {
            while (!packets.empty() && packets.begin()->first <= call.now) {
                stream.receive_rtcp(packets.begin()->second, both(call.now));
                packets.erase(packets.begin());
            }
        };
        deliver(back, call.from);
        deliver(forth, call.to);
    };
    call.run(speech(16000, 40), lossy_way(30ms, 15));
    const auto sender = call.from.figures(), receiver = call.to.figures();
    REQUIRE(sender.round_trip);
    CHECK(*sender.round_trip >= 70ms);
    CHECK(*sender.round_trip <= 80ms);
    CHECK(sender.plan.packets_back == std::vector<unsigned>{1, 2});
    CHECK(sender.plan.fec_percent >= 10);
    CHECK(std::abs(100.0 * static_cast<double>(receiver.lost) / static_cast<double>(receiver.expected) - 15) < 3);
    CHECK(receiver.concealed_percent < 2.5);  // the first seconds before any report too
    REQUIRE(sender.metrics);
    CHECK(sender.metrics->loss_rate > 25);
    // Somebody else's report changes nothing.
    RtcpReport stranger;
    stranger.from = 99;
    stranger.reception = ReceptionReport{255, 0, 0, 0, 0, 0};
    const auto before = call.to.figures().plan;
    call.to.receive_rtcp(build_rtcp(stranger, 7, "x"), both(call.now));
    CHECK(call.to.figures().plan == before);
}

TEST_CASE("repair goes up at once, and comes down after ten quiet seconds") {
    LossControl control(24000, true);
    net::Steady now{10s};
    CHECK(!control.reported(0.4, {}, now));
    CHECK(control.reported(14, {}, now));
    CHECK(control.plan().packets_back == std::vector<unsigned>{1, 2});
    CHECK(control.plan().bitrate * 3 <= 64000);
    CHECK(!control.reported(0, {}, now += 5s));
    CHECK(control.reported(0, {}, now += 5s));
    CHECK(control.plan() == (LossPlan{0, {}, 24000}));
    CHECK(control.reported(5, 60ms, now));
    CHECK(control.plan().packets_back == std::vector<unsigned>{2, 6});
    LossControl alone(24000, false);
    CHECK(alone.reported(50, {}, now));
    CHECK((alone.plan().packets_back.empty() && alone.plan().fec_percent == 30));
}

TEST_CASE("quality is the E-model's") {
    // G.107's default connection: R 93.2, MOS 4.41; G.107 table B.1's 4.34, 4.03, 3.60, 3.10 and 2.58 for R of 90 to 50.
    QualityInput input;
    CHECK(rate_quality(input).narrow_r == Approx(93.2));
    CHECK(rate_quality(input).narrow_mos == Approx(4.41).margin(0.005));
    const double mos[] = {4.34, 4.03, 3.60, 3.10, 2.58};
    for (int i = 0; i < 5; ++i) CHECK(mos_of_r(90 - 10 * i) == Approx(mos[i]).margin(0.006));
    CHECK(mos_of_r(-5) == 1);
    CHECK(mos_of_r(120) == 4.5);
    CHECK(delay_impairment(100) == 0);
    CHECK(delay_impairment(400) == Approx(24.1).margin(1.5));
    double last = 200;
    for (const double ms : {50.0, 150.0, 250.0, 400.0, 800.0}) {
        input.one_way_ms = ms;
        CHECK(rate_quality(input).r <= last);
        last = rate_quality(input).r;
    }
    input = {};
    input.concealed_percent = 5;
    CHECK(rate_quality(input).narrow_r == Approx(93.2 - 95 * 5 / 30.1));
    QualityInput wide;
    wide.opus = true;
    wide.rate_hz = 16000;
    wide.bitrate = 24000;
    CHECK(rate_quality(wide).mos > rate_quality(QualityInput{}).mos);
    wide.rate_hz = 48000;
    CHECK(rate_quality(wide).mos > 4.2);
}
