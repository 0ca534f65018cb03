/// What is said of the DNS that a node serves, in a line.
#pragma once

#include "meshctl/terminal.hpp"
#include "meshctl/value.hpp"

namespace meshctl {

std::string dns_line(const Value& dns, bool colour);

}  // namespace meshctl
