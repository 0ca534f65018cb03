#include "voice/trunk.hpp"

#include <algorithm>

namespace voice {

std::string written_as(NumberForm form, std::string_view e164, const DialPlanSettings& plan) {
    if (!e164.starts_with('+')) return std::string(e164);
    const auto digits = e164.substr(1);
    const auto abroad = plan.international_prefix + std::string(digits);
    switch (form) {
        case NumberForm::e164: return std::string(e164);
        case NumberForm::international: return abroad;
        case NumberForm::national: {
            if (plan.country.empty() || !digits.starts_with(plan.country)) return abroad;
            return plan.national_prefix + std::string(digits.substr(plan.country.size()));
        }
    }
    return std::string(e164);
}

std::string written_for(const TrunkSettings& trunk, std::string_view number, const DialPlanSettings& plan) {
    auto out = written_as(trunk.form, number, plan);
    // Of "+44..." the first digit is behind the plus, which goes with it.
    const std::size_t plus = trunk.strip > 0 && out.starts_with('+') ? 1 : 0;
    out.erase(0, std::min(out.size(), trunk.strip + plus));
    return trunk.add + out;
}

std::size_t covered(const std::vector<std::string>& prefixes, std::string_view number) {
    std::size_t best = 0;
    for (const auto& prefix : prefixes) {
        if (number.starts_with(prefix)) best = std::max(best, prefix.size());
    }
    return best;
}

}  // namespace voice
