#include "loop/lines.hpp"

#include <algorithm>

namespace loop {

void Lines::add(net::ByteView bytes) {
    const auto needed = waiting_.size() + bytes.size();
    if (needed > waiting_.capacity()) {  // by hand, as what a string grows out of is not wiped
        std::string larger;
        larger.reserve(std::max(needed, 2 * waiting_.capacity()));
        larger = std::string_view(waiting_);
        net::wipe(waiting_);
        waiting_ = std::move(larger);
    }
    waiting_.append(net::as_text(bytes));
}

std::optional<std::string> Lines::next() {
    if (overlong_) return std::nullopt;
    const auto end = waiting_.find('\n', searched_);
    if ((end == std::string::npos ? waiting_.size() : end) - taken_ > longest_bytes_) {
        overlong_ = true;
        net::wipe(waiting_);
        waiting_.clear();
        return std::nullopt;
    }
    if (end == std::string::npos) {
        // Only here, so that many short lines cost no more than their bytes.
        const auto left = waiting_.size() - taken_;
        std::copy(waiting_.begin() + static_cast<std::ptrdiff_t>(taken_), waiting_.end(), waiting_.begin());
        explicit_bzero(waiting_.data() + left, taken_);
        waiting_.resize(left);
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
