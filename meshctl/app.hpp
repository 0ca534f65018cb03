/// The command line as a whole, without the process around it, so that tests can run it.
#pragma once

#include <ostream>
#include <span>
#include <string>

namespace meshctl {

/// `arguments` without the program's name. Returns the exit code (failure.hpp); throws nothing.
int run(std::span<const std::string> arguments, std::ostream& out, std::ostream& err);

}  // namespace meshctl
