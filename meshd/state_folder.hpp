/// The folder that holds what meshd must not lose: it is locked, private, and keeps each secret in a file of its own.
#pragma once

#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "loop/file_descriptor.hpp"
#include "net/bytes.hpp"

namespace meshd {

/// State that cannot be used. One or two sentences: what is wrong with which file, and what to do. Never a secret.
class StateError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Owns the lock, which ends with this object or with the process, however that ends.
class StateFolder {
public:
    /// Creates the folder (mode 0700; its parents too) if it is missing. Throws StateError if it is a file, somebody
    /// else's, writable by others, or in use by another meshd, which is then named by its process id.
    explicit StateFolder(std::string path);

    const std::string& path() const { return path_; }
    std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
    bool has(std::string_view name) const;

    /// Writes a file of mode 0600 so that after a crash there is the old one or the new one: temporary file, fsync,
    /// rename, fsync of the folder. A file it takes the place of is kept as NAME.old. Throws StateError.
    void write(std::string_view name, net::ByteView contents) const;
    /// The same, as base64 in one line.
    void write_secret(std::string_view name, net::ByteView secret) const;
    /// Fills all of `out`; false if there is no such file. Throws StateError if it has another size than `out`, or
    /// anybody but its owner may read it.
    bool read_secret(std::string_view name, std::span<std::byte> out) const;

    /// So that a rename is not undone by a crash.
    void sync() const;

private:
    std::string path_;
    loop::FileDescriptor folder_;
    loop::FileDescriptor lock_;
};

}  // namespace meshd
