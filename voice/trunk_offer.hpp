/// What other offices say of their trunks comes from their records: a member may write anything there.
#pragma once

#include "voice/directory.hpp"

namespace voice {

/// Whether an offer is one that a meshd makes: its name (letters, digits and '-', at most 32) is written into Request-URIs,
/// and its prefixes (digits, a "+" before them or not) are compared with numbers. Others are left out.
bool is_sound(const TrunkOffer& offer);

}  // namespace voice
