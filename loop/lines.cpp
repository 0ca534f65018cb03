#include "loop/lines.hpp"

namespace loop {

std::optional<std::string> Lines::next() {
    if (overlong_) return std::nullopt;
    const auto end = waiting_.find('\n', searched_);
    if ((end == std::string::npos ? waiting_.size() : end) - taken_ > longest_bytes_) {
        overlong_ = true;
        waiting_.clear();
        return std::nullopt;
    }
    if (end == std::string::npos) {
        waiting_.erase(0, taken_);  // only here, so that many short lines cost no more than their bytes
        taken_ = 0;
        searched_ = waiting_.size();
        return std::nullopt;
    }
    auto line = waiting_.substr(taken_, end - taken_);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    taken_ = searched_ = end + 1;
    return line;
}

}  // namespace loop
