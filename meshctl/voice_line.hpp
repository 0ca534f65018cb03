/// One line about calls' ways, for `status` and `voice`.
#pragma once

#include <string>

#include "meshctl/value.hpp"

namespace meshctl {

std::string voice_line(const Value& voice, bool colour);

}  // namespace meshctl
