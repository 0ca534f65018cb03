#include "meshctl/units.hpp"

#include <array>
#include <cmath>
#include <cstdio>

#include "net/text.hpp"

namespace meshctl {
namespace {

std::string rounded(double value, int digits, const char* unit) {
    std::array<char, 64> out{};
    std::snprintf(out.data(), out.size(), "%.*f %s", digits, value, unit);
    return out.data();
}

}  // namespace

std::string duration(double seconds) {
    seconds = std::max(0.0, std::floor(seconds));
    if (seconds < 120) return rounded(seconds, 0, "s");
    if (seconds < 2 * 3600) return rounded(std::floor(seconds / 60), 0, "min");
    if (seconds < 2 * 86400) return rounded(std::floor(seconds / 3600), 0, "h");
    return rounded(std::floor(seconds / 86400), 0, "d");
}

std::string ago(std::optional<double> seconds) {
    return seconds ? duration(*seconds) + " ago" : "never";
}

std::string bytes(std::optional<double> count) {
    if (!count) return {};
    constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = *count;
    std::size_t unit = 0;
    // 999.95 would be shown as "1000.0".
    for (; value >= 999.95 && unit + 1 < kUnits.size(); value /= 1000) ++unit;
    return rounded(value, unit == 0 || value >= 100 ? 0 : 1, kUnits[unit]);
}

std::string milliseconds(std::optional<double> number) {
    if (!number) return {};
    return rounded(*number, *number < 1 ? 2 : *number < 10 ? 1 : 0, "ms");
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
    if (text.empty()) return std::nullopt;
    const auto unit = std::string_view("smhd").find(text.back());
    if (unit == std::string_view::npos) return std::nullopt;
    constexpr std::array<std::uint64_t, 4> kSeconds = {1, 60, 3600, 86400};
    constexpr std::uint64_t kLongest = 3650ULL * 86400;
    const auto count = net::parse_decimal(text.substr(0, text.size() - 1), kLongest / kSeconds[unit]);
    if (!count || *count == 0) return std::nullopt;
    return std::chrono::seconds(*count * kSeconds[unit]);
}

}  // namespace meshctl
