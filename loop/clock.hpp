/// The two clocks. A thread with a Loop asks the loop, which reads them once a turn; a thread without one asks here.
#pragma once

#include "net/time.hpp"

namespace loop {

net::Now read_clocks();

}  // namespace loop
