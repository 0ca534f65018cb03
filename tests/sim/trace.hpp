/// The last packets of a run, to be read when it has gone wrong.
#pragma once

#include "tests/sim/network.hpp"

namespace sim {

class Trace {
public:
    explicit Trace(std::size_t keep) : keep_(keep) {}

    using Number = std::uint64_t;
    /// `sender` is borrowed for life. `bytes` is looked at for what kind of message it is.
    Number sent(net::Steady at, const std::string& sender, const net::Endpoint& to, net::ByteView bytes, Transport transport);
    /// What became of it. `receiver` is borrowed for life, and null if it reached nobody. Nothing if it is too long ago.
    void ended(Number number, net::Steady at, const Network::Transit& transit, const std::string* receiver);
    /// A line of what is no packet.
    void note(net::Steady at, std::string what);

    /// One line each, oldest first, seconds since `since`.
    std::string text(const Network& network, net::Steady since) const;

private:
    struct Line {
        net::Steady at;
        const std::string* sender = nullptr;  ///< null: a note
        net::Endpoint to;
        std::size_t bytes = 0;
        unsigned type = 0;
        Network::Transit transit;
        std::optional<net::Steady> ended;
        const std::string* receiver = nullptr;
        std::string what;
    };
    Number add(Line line);

    std::size_t keep_;
    Number first_ = 0;  ///< of those that are kept
    std::deque<Line> lines_;
};

}  // namespace sim
