/// The kernel's generator of random numbers (getrandom(2)).
#pragma once

#include "net/random.hpp"

namespace loop {

/// May be used from any thread. Cannot fail once the machine is up: until the kernel has its first entropy it waits.
class SystemRandom final : public net::Random {
public:
    void fill(net::MutableBytes out) override;
};

}  // namespace loop
