/// Signals as events of the loop.
#pragma once

#include <initializer_list>
#include <vector>

#include "loop/loop.hpp"

namespace loop {

class Signals {
public:
    /// Calls back with the number of each of `numbers` (SIGTERM...) that arrives. Their default action is off as long
    /// as this lives. Threads of the process that must not be disturbed should block them.
    Signals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> arrived);
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

private:
    struct Inner;
    std::vector<Inner*> inner_;
};

}  // namespace loop
