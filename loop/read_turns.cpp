#include "loop/read_turns.hpp"

namespace loop {

struct ReadTurns::Inner : std::enable_shared_from_this<Inner> {
    Inner(Loop& on, unsigned bound) : loop(on), reads_per_turn(bound) {}

    void serve_later();
    void serve();

    Loop& loop;
    unsigned reads_per_turn;
    std::deque<std::function<bool()>> line;
    bool due = false;   ///< serve() will be called
    bool gone = false;  ///< the owner has gone
};

void ReadTurns::Inner::serve_later() {
    if (due || line.empty()) return;
    due = true;
    loop.defer([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->serve();
    });
}

void ReadTurns::Inner::serve() {
    due = false;
    for (unsigned i = 0; i < reads_per_turn && !line.empty(); ++i) {
        auto read = std::move(line.front());
        line.pop_front();
        const bool more = read();
        if (gone) return;
        if (more) line.push_back(std::move(read));
    }
    serve_later();
}

ReadTurns::ReadTurns(Loop& loop, unsigned reads_per_turn) : inner_(std::make_shared<Inner>(loop, reads_per_turn)) {}

ReadTurns::~ReadTurns() {
    inner_->gone = true;
    inner_->line.clear();
}

void ReadTurns::join(std::function<bool()> read) {
    inner_->line.push_back(std::move(read));
    inner_->serve_later();
}

std::size_t ReadTurns::waiting() const { return inner_->line.size(); }

}  // namespace loop
