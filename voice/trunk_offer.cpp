#include "voice/trunk_offer.hpp"

#include <algorithm>

#include "voice/characters.hpp"
#include "voice/trunk.hpp"

namespace voice {

bool is_trunk_name(std::string_view text) {
    constexpr std::size_t kMaxName = 32;
    return !text.empty() && text.size() <= kMaxName &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_trunk_prefix(std::string_view text) {
    if (text.empty() || text.size() > kMaxPrefixLength) return false;
    return all_digits(text.starts_with('+') ? text.substr(1) : text);
}

bool is_sound(const TrunkOffer& offer) {
    return is_trunk_name(offer.name) && std::all_of(offer.prefixes.begin(), offer.prefixes.end(), is_trunk_prefix);
}

}  // namespace voice
