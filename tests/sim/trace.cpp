#include "tests/sim/trace.hpp"

#include <iomanip>
#include <sstream>

namespace sim {
namespace {

/// The first byte of a datagram of the mesh (mesh/protocol.hpp).
std::string_view kind(unsigned type) {
    switch (type) {
        case 1: return "initiation";
        case 2: return "response";
        case 3: return "cookie";
        case 4: case 5: return "data";
        case 7: return "introduction";
        default: return "other";
    }
}

double seconds(net::Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Trace::Number Trace::add(Line line) {
    if (lines_.size() == keep_) {
        lines_.pop_front();
        ++first_;
    }
    lines_.push_back(std::move(line));
    return first_ + lines_.size() - 1;
}

Trace::Number Trace::sent(net::Steady at, const std::string& sender, const net::Endpoint& to, net::ByteView bytes, Transport transport) {
    Line line;
    line.at = at;
    line.sender = &sender;
    line.to = to;
    line.bytes = bytes.size();
    line.type = bytes.empty() ? 0 : std::to_integer<unsigned>(bytes[0]);
    line.transit.transport = transport;
    return add(std::move(line));
}

void Trace::ended(Number number, net::Steady at, const Network::Transit& transit, const std::string* receiver) {
    if (number < first_) return;
    auto& line = lines_[number - first_];
    line.ended = at;
    line.transit = transit;
    line.receiver = receiver;
}

void Trace::note(net::Steady at, std::string what) {
    Line line;
    line.at = at;
    line.what = std::move(what);
    add(std::move(line));
}

std::string Trace::text(const Network& network, net::Steady since) const {
    std::ostringstream out;
    out << std::fixed << std::setprecision(4);
    for (const auto& line : lines_) {
        out << seconds(line.at - since) << "  ";
        if (line.sender == nullptr) {
            out << "-- " << line.what << '\n';
            continue;
        }
        out << *line.sender << " > " << line.to.text() << "  " << kind(line.type) << ' ' << line.bytes;
        if (line.transit.transport == Transport::tcp) out << " tcp";
        const auto fate = line.transit.fate;
        if (!line.ended) {
            out << "  under way\n";
            continue;
        }
        out << "  from " << line.transit.from.text();
        if (fate == Network::Fate::arrived) {
            out << " to " << (line.receiver == nullptr ? "?" : *line.receiver);
        } else {
            out << ' ' << sim::text(fate) << " at " << (line.receiver == nullptr ? network.name(line.transit.at) : *line.receiver);
        }
        out << ", " << seconds(*line.ended - since) << '\n';
    }
    return out.str();
}

}  // namespace sim
