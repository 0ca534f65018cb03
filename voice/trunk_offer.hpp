/// What other offices say of their trunks comes from their records: a member may write anything there.
#pragma once

#include "voice/directory.hpp"

namespace voice {

bool is_trunk_name(std::string_view text);    ///< letters, digits and '-', at most 32: it is written into Request-URIs
bool is_trunk_prefix(std::string_view text);  ///< digits, a "+" before them or not: it is compared with numbers
/// Whether an offer is one that a meshd makes. Others are left out.
bool is_sound(const TrunkOffer& offer);

}  // namespace voice
