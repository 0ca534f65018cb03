/// The password of a trunk's account, from the file that the configuration names.
#pragma once

#include <string>

#include "voice/trunk.hpp"

namespace meshd {

/// The file's first line. Throws std::runtime_error, with what to do, if it cannot be read, is empty or too long, or if
/// others than its owner may read it.
voice::Password trunk_password(const std::string& path);
/// The same of another, "the proxy's password".
voice::Password password_in(const std::string& path, const std::string& whose);

}  // namespace meshd
