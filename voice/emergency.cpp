#include "voice/emergency.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace voice {

std::optional<std::string> emergency_number(const Uri& uri, const std::vector<std::string>& numbers,
                                            const DialPlanSettings& plan) {
    if (numbers.empty()) return std::nullopt;
    if (uri.scheme == "urn") {
        const auto service = net::to_lower(uri.opaque);
        const bool help = service == "service:sos" || service.starts_with("service:sos.");
        return help ? std::optional(numbers.front()) : std::nullopt;
    }
    const auto dialled = dialled_digits(uri.is_tel() ? uri.address_of_record() : uri.user_unescaped());
    if (!dialled) return std::nullopt;
    for (const auto& number : numbers) {
        if (*dialled == number || (!plan.outside_prefix.empty() && *dialled == plan.outside_prefix + number)) return number;
    }
    return std::nullopt;
}

}  // namespace voice
