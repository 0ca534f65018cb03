/// Lets avahi-core run on our event loop.
#pragma once

#include <avahi-common/watch.h>

#include "loop/loop.hpp"

namespace meshd {

/// Must outlive everything that was given its api(), and be destroyed before the loop.
class LoopAvahiPoll {
public:
    explicit LoopAvahiPoll(loop::Loop& loop);
    LoopAvahiPoll(const LoopAvahiPoll&) = delete;
    LoopAvahiPoll& operator=(const LoopAvahiPoll&) = delete;

    const AvahiPoll& api() const { return api_; }

private:
    AvahiPoll api_{};
};

}  // namespace meshd
