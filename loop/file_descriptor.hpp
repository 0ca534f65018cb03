/// A file descriptor that closes itself.
#pragma once

#include <unistd.h>

#include <utility>

namespace loop {

class FileDescriptor {
public:
    FileDescriptor() = default;
    explicit FileDescriptor(int fd) : fd_(fd) {}
    FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileDescriptor& operator=(FileDescriptor&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~FileDescriptor() { close(); }

    int get() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    void close() {
        if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
    }

private:
    int fd_ = -1;
};

}  // namespace loop
