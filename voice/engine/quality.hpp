/// What a call's sound is worth: the E-model (ITU-T G.107, and G.107.2 for more than a telephone's band), for planning and
/// comparing, from what was measured and what is assumed:
///
///   - no echo, no noise, normal levels: of the transmission rating's terms only delay and equipment count
///   - G.711: Ie 0 and Bpl 25.1 (G.113 appendix I, with concealment)
///   - Opus has no figures from ITU-T. Taken are Ie,FB of the band alone (a perfect narrowband connection is 93 of 148, a
///     perfect wideband one 129) and 10 more for coding at 16 kbit/s and up, 20 below; Bpl 20
///   - on the fullband scale delay costs 1.48 times as much as on the narrow one, and MOS is that of R / 1.48
///   - loss is what was concealed, after all repair
#pragma once

namespace voice::engine {

struct QualityInput {
    double one_way_ms = 0;         ///< mouth to ear
    double concealed_percent = 0;
    double burst_ratio = 1;        ///< BurstR: 1 for random loss, more where losses come together
    unsigned rate_hz = 8000;       ///< of the sound: its band is half of that
    bool opus = false;
    unsigned bitrate = 64000;
};

struct Quality {
    double r = 0;             ///< on G.107.2's scale, 0 to 148: any two calls can be compared
    double mos = 1;           ///< MOS-CQE of it, 1 to 4.5
    double narrow_r = 0;      ///< on G.107's scale, 0 to 100, where the call is a telephone's; else zero
    double narrow_mos = 0;    ///< MOS-CQE of that, as other telephones tell it
};

Quality rate_quality(const QualityInput& input);

/// G.107's Idd for a one-way delay; zero up to 100 ms.
double delay_impairment(double one_way_ms);
/// G.107 annex B.
double mos_of_r(double r);

}  // namespace voice::engine
