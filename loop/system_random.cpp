#include "loop/system_random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace loop {

void SystemRandom::fill(net::MutableBytes out) {
    while (!out.empty()) {
        const auto got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0) {
            if (errno == EINTR) continue;
            throw std::system_error(errno, std::generic_category(), "the kernel gives no random numbers");
        }
        out = out.subspan(static_cast<std::size_t>(got));
    }
}

}  // namespace loop
