/// Figures as people read them, and durations as people write them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace meshctl {

std::string duration(double seconds);                    ///< "3 s", "5 min", "2 h", "4 d"
std::string ago(std::optional<double> seconds);          ///< "3 s ago"; "never" for none
std::string bytes(std::optional<double> count);          ///< "512 B", "1.2 MB" (powers of 1000); empty for none
std::string milliseconds(std::optional<double> number);  ///< "0.42 ms", "23 ms"; empty for none

/// "90s", "30m", "24h", "7d"; nullopt if it is none, or zero, or longer than ten years.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

}  // namespace meshctl
