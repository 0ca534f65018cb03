#include "mesh/codel.hpp"

#include <cmath>

namespace mesh {

void Codel::found_empty() {
    first_above_ = net::kNever;
    dropping_ = false;
}

// dodequeue(), RFC 8289 section 5.6.
bool Codel::too_long(net::Duration waited, std::size_t bytes_behind, net::Steady now) {
    if (waited < target_ || bytes_behind <= kLargePacketBytes) {
        first_above_ = net::kNever;
        return false;
    }
    if (first_above_ == net::kNever) {
        first_above_ = now + kInterval;
        return false;
    }
    return now >= first_above_;
}

// control_law(), RFC 8289 section 5.6.
net::Duration Codel::spacing(unsigned count) {
    return std::chrono::duration_cast<net::Duration>(kInterval / std::sqrt(static_cast<double>(count)));
}

// deque(), RFC 8289 section 5.5, a packet at a time.
bool Codel::drops(net::Duration waited, std::size_t bytes_behind, net::Steady now) {
    if (!too_long(waited, bytes_behind, now)) {
        dropping_ = false;
        return false;
    }
    if (dropping_) {
        if (now < drop_next_) return false;
        ++count_;
        drop_next_ += spacing(count_);
        return true;
    }
    dropping_ = true;
    // Where it has dropped not long ago it begins at the pace that was right then.
    const auto since_last = count_ - last_count_;
    count_ = since_last > 1 && now - drop_next_ < 16 * kInterval ? since_last : 1;
    drop_next_ = now + spacing(count_);
    last_count_ = count_;
    return true;
}

}  // namespace mesh
