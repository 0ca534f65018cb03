/// Who is read next, of many streams that share this: whoever has something waits in a line, has one read at a time, and goes
/// to the line's end where there may be more. Of all of them together so many reads are done in a turn of the loop: timers,
/// datagrams and new connections have their turn between, however much comes. What is not read yet waits in the kernel, and
/// holds its sender back.
#pragma once

#include <deque>

#include "loop/loop.hpp"

namespace loop {

class ReadTurns {
public:
    ReadTurns(Loop& loop, unsigned reads_per_turn);
    ~ReadTurns();
    ReadTurns(const ReadTurns&) = delete;
    ReadTurns& operator=(const ReadTurns&) = delete;

    /// `read` is called when its turn has come, never from here, and again and again while it returns true: there may be
    /// more. In line until it returns false, or this is destroyed.
    void join(std::function<bool()> read);
    std::size_t waiting() const;

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
