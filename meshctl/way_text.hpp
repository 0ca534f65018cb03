/// Where a way to a peer leads, in words, for `peers`, `status` and `why`.
#pragma once

#include <string>

#include "meshctl/value.hpp"

namespace meshctl {

/// "198.51.100.7:51820", "relay trento", "tls 203.0.113.5:443"; empty if there is none.
std::string way_text(const Value& way);
/// What such a way is: "LAN", "open", "mapped port", "through NAT", "TLS", "relay".
std::string rank_text(const std::string& rank);

}  // namespace meshctl
