/// Tells when a file descriptor can be read or written. The descriptor stays its owner's, who must destroy the watch
/// before closing it. A descriptor may have one watch per loop.
#pragma once

#include "loop/loop.hpp"

namespace loop {

struct Readiness {
    bool readable = false;
    bool writable = false;
    bool error = false;  ///< POLLERR or POLLHUP; told whatever is wanted. Whoever does not clear its cause is called again
};

class FdWatch {
public:
    /// Makes `fd` non-blocking. Wants nothing until want() is called. Throws std::system_error if `fd` cannot be polled.
    FdWatch(Loop& loop, int fd, std::function<void(Readiness)> ready);
    ~FdWatch();
    FdWatch(const FdWatch&) = delete;
    FdWatch& operator=(const FdWatch&) = delete;

    void want(bool read, bool write);

private:
    struct Inner;
    Inner* inner_;
};

}  // namespace loop
