#include "meshctl/waiting.hpp"

#include "meshctl/terminal.hpp"
#include "meshctl/units.hpp"

namespace meshctl {

std::string Waiting::show(net::Steady now) {
    if (now - began_ < kQuietFor) return {};
    if (terminal_) {
        shown_ = what_;
        const auto seconds = std::chrono::duration<double>(now - began_).count();
        return "\r\033[K" + printable(what_) + " (" + duration(seconds) + ")";
    }
    if (shown_ == what_) return {};
    shown_ = what_;
    return printable(what_) + "\n";
}

std::string Waiting::clear() {
    const bool line = terminal_ && !shown_.empty();
    shown_.clear();
    return line ? "\r\033[K" : "";
}

}  // namespace meshctl
