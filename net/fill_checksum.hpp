/// TCP's and UDP's checksum of a packet that has been guarded by other means so far.
#pragma once

#include "net/bytes.hpp"

namespace net {

/// Writes it anew, whatever stands there. `packet`: one that parse_ip() took. False, with nothing changed, if it is neither
/// TCP nor UDP, a fragment, or too short for its header. A UDP packet of IPv4 without a checksum gets one.
bool fill_checksum(MutableBytes packet);

}  // namespace net
