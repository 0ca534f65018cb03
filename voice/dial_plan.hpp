/// What people dial, as numbers that mean the same everywhere: E.164, or an extension.
#pragma once

#include <vector>

#include "voice/number.hpp"

namespace voice {

/// Digits only, each; empty where there is none. With nothing set only "+..." and extensions are understood.
struct DialPlanSettings {
    std::string country;                   ///< "44"
    std::string area;                      ///< of numbers that are dialled without one: "207"
    std::string international_prefix = "00";
    std::string national_prefix = "0";     ///< before the area; empty where the area is always dialled and kept whole
    std::string outside_prefix;            ///< for a line, before all else: "9"
    std::string site;                      ///< what stands before this office's extensions, from the country on: "442079460"
    unsigned min_extension_digits = 2;
    unsigned max_extension_digits = 5;

    /// Empty, or what contradicts itself.
    std::string fault() const;
};

class DialPlan {
public:
    explicit DialPlan(DialPlanSettings settings = {}) : settings_(std::move(settings)) {}

    /// "+44 207 946 0148", "0044 207...", "0207 946 0148", "946 0148": all "+442079460148". nullopt: an extension, or
    /// nothing that this plan understands.
    std::optional<std::string> e164(std::string_view dialled) const;
    /// "148" of "148", and of "+442079460148" where the site's prefix is "442079460"; nullopt if it is none.
    std::optional<std::string> extension(std::string_view dialled) const;
    const DialPlanSettings& settings() const { return settings_; }
    /// All names under which a user may have what was dialled, the way it was dialled first.
    std::vector<std::string> names_of(std::string_view dialled) const;

private:
    bool is_extension(std::string_view digits) const;
    DialPlanSettings settings_;
};

}  // namespace voice
