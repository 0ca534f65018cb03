/// A path as the address of a UNIX socket.
#pragma once

#include <sys/un.h>

#include <optional>
#include <string>

namespace loop {

/// Nullopt if the path is empty or too long for the kernel (107 bytes).
std::optional<sockaddr_un> to_unix_address(const std::string& path);

}  // namespace loop
