/// What a NAT does, and what one side of a way has, in words.
#pragma once

#include <string>

#include "meshctl/value.hpp"

namespace meshctl {

/// "no NAT", "a NAT that keeps one port for all (endpoint-independent)"; of "unknown" what is missing.
std::string nat_text(const std::string& verdict);
/// Of "here" and "there": the name, its NAT, and whether UDP and IPv6 are there.
std::string side_text(const Value& side);

}  // namespace meshctl
