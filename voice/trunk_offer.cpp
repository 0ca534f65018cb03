#include "voice/trunk_offer.hpp"

#include <algorithm>

#include "voice/characters.hpp"
#include "voice/trunk.hpp"

namespace voice {
namespace {

constexpr std::size_t kMaxName = 32;

bool is_prefix(std::string_view text) {
    if (text.empty() || text.size() > kMaxPrefixLength) return false;
    return all_digits(text.starts_with('+') ? text.substr(1) : text);
}

}  // namespace

bool is_sound(const TrunkOffer& offer) {
    const auto& name = offer.name;
    return !name.empty() && name.size() <= kMaxName &&
           std::all_of(name.begin(), name.end(), [](char c) { return is_alnum(c) || c == '-'; }) &&
           std::all_of(offer.prefixes.begin(), offer.prefixes.end(), is_prefix);
}

}  // namespace voice
