#include "loop/clock.hpp"

namespace loop {

net::Now read_clocks() {
    return {std::chrono::time_point_cast<net::Duration>(std::chrono::steady_clock::now()),
            std::chrono::time_point_cast<net::Duration>(std::chrono::system_clock::now())};
}

}  // namespace loop
