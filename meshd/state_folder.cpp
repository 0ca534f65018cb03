// A secret's file is one line of base64, as WireGuard's tools write and read keys.
#include "meshd/state_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "net/text.hpp"
#include "net/wiped.hpp"

namespace meshd {

using loop::FileDescriptor;

namespace {

std::string reason(int error) {
    if (error == ENOSPC || error == EDQUOT) return "the disk is full; make room and start meshd again";
    if (error == EACCES || error == EPERM) return "permission denied; start meshd as the user that owns it";
    if (error == EROFS) return "the file system is read-only";
    return std::strerror(error);
}

[[noreturn]] void fail(const std::string& what, int error) {
    throw StateError(what + ": " + reason(error));
}

bool write_all(int fd, net::ByteView bytes) {
    while (!bytes.empty()) {
        const auto written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

std::string holder(int lock) {
    std::array<char, 32> text{};
    const auto size = ::pread(lock, text.data(), text.size(), 0);
    const auto pid = net::trim({text.data(), static_cast<std::size_t>(size > 0 ? size : 0)});
    return net::parse_decimal(pid) ? " (process " + std::string(pid) + ")" : "";
}

}  // namespace

StateFolder::StateFolder(std::string path) : path_(std::move(path)) {
    std::error_code ignored;
    if (const auto parent = std::filesystem::path(path_).parent_path(); !parent.empty()) {
        std::filesystem::create_directories(parent, ignored);
    }
    if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot create the state folder " + path_, errno);
    folder_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder_.is_open()) fail("cannot open the state folder " + path_, errno);
    struct stat status {};
    if (::fstat(folder_.get(), &status) != 0) fail("cannot look at the state folder " + path_, errno);
    if (status.st_uid != ::geteuid()) {
        throw StateError("the state folder " + path_ + " belongs to user " + std::to_string(status.st_uid) +
                         ", and meshd runs as user " + std::to_string(::geteuid()) +
                         ": start it as that user, or name another folder with --state");
    }
    if ((status.st_mode & 022) != 0) {
        throw StateError("others may write in the state folder " + path_ +
                         ", which is to hold private keys: chmod 700 " + path_ +
                         ", or name another folder with --state");
    }

    // flock() belongs to the open file, so that a second meshd in one process (a test) is refused as well. The file
    // stays: removing it would let a third one lock a new file while a second still waits with the old one open.
    lock_ = FileDescriptor(::open(file("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_.is_open()) fail("cannot open " + file("lock"), errno);
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) fail("cannot lock " + file("lock"), errno);
        throw StateError("another meshd" + holder(lock_.get()) + " uses the state folder " + path_ +
                         ": stop it first, or name another folder with --state");
    }
    const auto pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock_.get(), 0) != 0 || !write_all(lock_.get(), net::as_bytes(pid))) {
        fail("cannot write " + file("lock"), errno);
    }
}

bool StateFolder::has(std::string_view name) const {
    struct stat status {};
    return ::lstat(file(name).c_str(), &status) == 0;
}

void StateFolder::sync() const {
    if (::fsync(folder_.get()) != 0) fail("cannot sync the state folder " + path_, errno);
}

void StateFolder::write(std::string_view name, net::ByteView contents) const {
    const auto final_path = file(name), temporary = final_path + ".new";
    ::unlink(temporary.c_str());
    {
        const FileDescriptor out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!out.is_open() || !write_all(out.get(), contents) || ::fsync(out.get()) != 0) {
            const int error = errno;
            ::unlink(temporary.c_str());
            fail("cannot write " + final_path, error);
        }
    }
    const auto old = final_path + ".old";
    if (has(name) &&
        ((::unlink(old.c_str()) != 0 && errno != ENOENT) || ::link(final_path.c_str(), old.c_str()) != 0)) {
        fail("cannot keep the old " + final_path, errno);
    }
    if (::rename(temporary.c_str(), final_path.c_str()) != 0) fail("cannot write " + final_path, errno);
    sync();
}

void StateFolder::write_secret(std::string_view name, net::ByteView secret) const {
    auto text = net::to_base64(secret);
    const net::WipedAtEnd wipe_text(text);
    std::string line;
    line.reserve(text.size() + 1);  // no copy is left where it grew
    line.append(text).push_back('\n');
    const net::WipedAtEnd wipe_line(line);
    write(name, net::as_bytes(line));
}

bool StateFolder::read_secret(std::string_view name, std::span<std::byte> out) const {
    const auto path = file(name);
    const FileDescriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!in.is_open() && errno == ENOENT) return false;
    if (!in.is_open()) fail("cannot read " + path, errno);
    struct stat status {};
    if (::fstat(in.get(), &status) != 0) fail("cannot read " + path, errno);
    if ((status.st_mode & 077) != 0) {
        throw StateError("others may read the private key in " + path + ": chmod 600 " + path +
                         ", and think about whether somebody did");
    }
    std::array<char, 256> text{};
    const net::WipedAtEnd wipe_text(text);
    const auto size = ::read(in.get(), text.data(), text.size());
    if (size < 0) fail("cannot read " + path, errno);
    auto bytes = net::from_base64(net::trim({text.data(), static_cast<std::size_t>(size)}));
    if (!bytes || bytes->size() != out.size()) {
        throw StateError(path + " is damaged: it does not hold a key. Restore it from a backup");
    }
    const net::WipedAtEnd wipe_bytes(*bytes);
    std::memcpy(out.data(), bytes->data(), out.size());
    return true;
}

}  // namespace meshd
