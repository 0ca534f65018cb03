#include "voice/dial_plan.hpp"

#include <algorithm>

#include "voice/characters.hpp"

namespace voice {
namespace {

std::optional<std::string> number(const std::string& text) {
    auto parsed = parse_e164(text);
    return parsed ? std::optional(std::move(*parsed)) : std::nullopt;
}

}  // namespace

std::string DialPlanSettings::fault() const {
    for (const auto* part : {&country, &area, &international_prefix, &national_prefix, &outside_prefix, &site}) {
        if (!all_digits(*part) || part->size() > kMaxE164Digits) return "\"" + *part + "\" must be digits, at most 15";
    }
    if (country.starts_with('0')) return "no country code begins with 0";
    if (country.size() > 3) return "a country code has at most 3 digits";
    if (site.starts_with('0')) return "the site's prefix begins with the country code, and that with no 0";
    if (!area.empty() && country.empty()) return "an area needs a country";
    if (min_extension_digits == 0 || max_extension_digits < min_extension_digits) {
        return "extensions need at least one digit, and no less at most than at least";
    }
    if (!site.empty() && site.size() + max_extension_digits > kMaxE164Digits) {
        return "the site's prefix and an extension have more than 15 digits together";
    }
    return {};
}

bool DialPlan::is_extension(std::string_view digits) const {
    return all_digits(digits) && digits.size() >= settings_.min_extension_digits &&
           digits.size() <= settings_.max_extension_digits;
}

std::optional<std::string> DialPlan::e164(std::string_view dialled) const {
    const auto digits = dialled_digits(dialled);
    if (!digits) return std::nullopt;
    std::string_view rest = *digits;
    if (rest.starts_with('+')) return number(*digits);
    if (!all_digits(rest) || is_extension(rest)) return std::nullopt;
    const auto& s = settings_;
    const auto skip = [&](const std::string& prefix) {
        if (prefix.empty() || !rest.starts_with(prefix) || rest.size() == prefix.size()) return false;
        rest.remove_prefix(prefix.size());
        return true;
    };
    // A number may begin with the digits that fetch a line: then it is dialled behind them, like any other.
    if (!s.outside_prefix.empty() && !skip(s.outside_prefix)) return std::nullopt;
    if (skip(s.international_prefix)) return number("+" + std::string(rest));
    if (s.country.empty()) return std::nullopt;
    if (skip(s.national_prefix)) return number("+" + s.country + std::string(rest));
    if (s.national_prefix.empty()) return number("+" + s.country + std::string(rest));
    if (s.area.empty()) return std::nullopt;
    return number("+" + s.country + s.area + std::string(rest));
}

std::optional<std::string> DialPlan::extension(std::string_view dialled) const {
    const auto digits = dialled_digits(dialled);
    if (!digits) return std::nullopt;
    if (is_extension(*digits)) return digits;
    const auto full = e164(*digits);
    const auto prefix = "+" + settings_.site;
    if (!full || settings_.site.empty() || !full->starts_with(prefix)) return std::nullopt;
    auto tail = full->substr(prefix.size());
    return is_extension(tail) ? std::optional(std::move(tail)) : std::nullopt;
}

std::vector<std::string> DialPlan::names_of(std::string_view dialled) const {
    std::vector<std::string> out{std::string(dialled)};
    const auto add = [&](std::optional<std::string> name) {
        if (name && std::find(out.begin(), out.end(), *name) == out.end()) out.push_back(std::move(*name));
    };
    add(dialled_digits(dialled));
    add(e164(dialled));
    const auto short_form = extension(dialled);
    if (short_form && !settings_.site.empty()) add("+" + settings_.site + *short_form);
    add(short_form);
    return out;
}

}  // namespace voice
