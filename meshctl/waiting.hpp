/// What a command that takes its time shows on standard error.
#pragma once

#include <string>

#include "net/time.hpp"

namespace meshctl {

class Waiting {
public:
    Waiting(net::Steady began, bool terminal) : began_(began), terminal_(terminal) {}

    void set(std::string what) { what_ = std::move(what); }
    /// What to write now: empty before the first second, and while there is nothing new for a pipe.
    std::string show(net::Steady now);
    /// What takes the line away again before anything else is written.
    std::string clear();

    static constexpr auto kQuietFor = std::chrono::seconds(1);

private:
    net::Steady began_;
    bool terminal_;
    std::string what_ = "waiting for meshd's answer";
    std::string shown_;
};

}  // namespace meshctl
