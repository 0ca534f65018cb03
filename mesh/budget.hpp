/// How much of something a member may have of us.
#pragma once

#include "net/time.hpp"

namespace mesh {

/// A bucket, full at first.
class Budget {
public:
    /// Takes so much if it is there, and `least` besides. Units are the caller's.
    [[nodiscard]] bool spend(double amount, double per_second, double most, net::Steady now, double least = 0) {
        level_ = at_ == net::Steady::min() ? most : level_ + per_second * std::chrono::duration<double>(now - at_).count();
        if (level_ > most) level_ = most;
        at_ = now;
        if (level_ < amount + least) return false;
        level_ -= amount;
        return true;
    }

private:
    double level_ = 0;
    net::Steady at_ = net::Steady::min();
};

}  // namespace mesh
