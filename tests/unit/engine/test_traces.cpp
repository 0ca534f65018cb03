#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

#include "wire.hpp"

using namespace engine_test;

namespace {

/// See tests/traces/make_traces.py.
std::vector<std::optional<net::Duration>> read_trace(const std::string& name) {
    std::ifstream file(TRACES_FOLDER "/" + name + ".trace");
    std::vector<std::optional<net::Duration>> out;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("#")) continue;
        std::istringstream words(line);
        for (std::string word; words >> word;) out.push_back(word == "-" ? std::nullopt : std::optional<net::Duration>(100us * std::stoi(word)));
    }
    return out;
}

/// What the buffer may cost on a trace: a little more than it does. A change that makes one worse has to say why.
struct Bound {
    const char* trace;
    double mean_ms;            ///< of mouth to ear without what the codec looks ahead: packet, wire and buffer
    double worst_ms;           ///< 95 of 100 frames are faster
    double concealed_percent;  ///< of 20 ms that never came, and of what came too late
    double scaled_percent;     ///< of the sound taken out or put in
    bool repaired = false;     ///< with one redundant copy
};

constexpr Bound kBounds[] = {
    {"lan", 36, 38, 0, 0.3},
    {"wifi", 95, 108, 0.7, 0.5},
    {"wifi", 96, 109, 0.4, 0.4, true},
    {"lte", 96, 200, 0.9, 0.9},
    {"lte", 96, 200, 0.9, 0.9, true},
    {"satellite", 86, 128, 1.2, 0.5},
    {"satellite", 89, 164, 1.2, 0.7, true},
    {"dsl", 175, 303, 0.8, 2.1},
    {"dsl", 211, 304, 0.7, 1.7, true},
};

}  // namespace

TEST_CASE("no recorded network is played worse than before") {
    const auto said = speech(8000, 60);
    for (const auto& bound : kBounds) {
        const auto trace = read_trace(bound.trace);
        REQUIRE(trace.size() == 3000);
        auto settings = g711_settings();
        if (bound.repaired) settings.red_type = 97;
        Call call(settings);
        call.from.apply({0, {2}, 0});
        std::vector<double> delays;
        net::Duration fastest{};
        call.each = [&] {
            const auto second = static_cast<std::size_t>((call.now - call.start) / 1s);
            // The wire's part is the fastest packet within two seconds: the buffer's is what it adds.
            fastest = 10s;
            for (auto i = second < 2 ? 0 : 50 * (second - 2); i < std::min<std::size_t>(3000, 50 * (second + 1)); ++i) {
                if (trace[i]) fastest = std::min(fastest, *trace[i]);
            }
            if (call.now - call.start > 1s) delays.push_back(20 + std::chrono::duration<double, std::milli>(fastest).count() + call.delay_ms());
        };
        call.run(said, [&](net::Duration at) { return trace[std::min<std::size_t>(2999, static_cast<std::size_t>(at / 20ms) - 1)]; });
        const auto figures = call.to.figures().buffer;
        double mean = 0;
        for (const auto delay : delays) mean += delay / static_cast<double>(delays.size());
        std::sort(delays.begin(), delays.end());
        const auto worst = delays[delays.size() * 95 / 100];
        const auto scaled = 100.0 * static_cast<double>(figures.shortened + figures.lengthened) / static_cast<double>(figures.played);
        INFO(bound.trace << (bound.repaired ? ", repaired" : "") << ": " << mean << " ms, worst " << worst << ", concealed " << call.concealed_percent() << " % with " << call.lost << " lost and " << figures.late
                         << " late, scaled " << scaled << " %");
        CHECK(mean <= bound.mean_ms);
        CHECK(worst <= bound.worst_ms);
        CHECK(call.concealed_percent() <= bound.concealed_percent);
        CHECK(scaled <= bound.scaled_percent);
    }
}
