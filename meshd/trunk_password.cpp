#include "meshd/trunk_password.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "loop/file_descriptor.hpp"
#include "net/wiped.hpp"

namespace meshd {

voice::Password trunk_password(const std::string& path) { return password_in(path, "a trunk's password"); }

voice::Password password_in(const std::string& path, const std::string& whose) {
    const auto refuse = [&](const std::string& why) { throw std::runtime_error(whose + ", in " + path + ": " + why); };
    const loop::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.is_open()) refuse(std::string("cannot be read: ") + std::strerror(errno));
    struct stat at = {};
    if (::fstat(file.get(), &at) != 0 || !S_ISREG(at.st_mode)) refuse("is no file");
    if ((at.st_mode & 077) != 0) refuse("others may read it; run 'chmod 600 " + path + "'");
    std::array<char, 258> bytes{};
    const net::WipedAtEnd wipe(bytes);
    const auto size = ::read(file.get(), bytes.data(), bytes.size());
    if (size < 0) refuse(std::string("cannot be read: ") + std::strerror(errno));
    std::string_view text(bytes.data(), static_cast<std::size_t>(size));
    const auto end = text.find_first_of("\r\n");
    if (end == text.npos && text.size() == bytes.size()) refuse("is longer than 256 characters");
    text = text.substr(0, end);
    if (text.empty()) refuse("is empty; its first line must be the password");
    return voice::Password(text);
}

}  // namespace meshd
