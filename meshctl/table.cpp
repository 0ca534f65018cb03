#include "meshctl/table.hpp"

#include <algorithm>
#include <cassert>

namespace meshctl {

void Table::add(std::vector<Cell> row) {
    assert(row.size() == columns_.size());
    rows_.push_back(std::move(row));
}

std::string Table::text(bool colour) const {
    std::vector<std::size_t> shown, widths(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        widths[i] = width(columns_[i].title);
        bool says_something = false;
        for (const auto& row : rows_) {
            widths[i] = std::max(widths[i], width(row[i].text));
            says_something |= !row[i].text.empty();
        }
        if (says_something) shown.push_back(i);
    }
    std::string out;
    const auto line = [&](auto cell) {
        std::string text;
        for (const auto i : shown) {
            if (i != shown.front()) text += "  ";
            const auto& [what, in] = cell(i);
            const auto said = what.empty() ? std::string("-") : what;
            const auto space = std::string(widths[i] - std::min(widths[i], width(said)), ' ');
            const auto painted = coloured(said, in, colour);
            text += columns_[i].align == Align::right ? space + painted : painted + space;
        }
        out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
    };
    line([&](std::size_t i) { return std::pair(columns_[i].title, Colour::faint); });
    for (const auto& row : rows_) line([&](std::size_t i) { return std::pair(row[i].text, row[i].colour); });
    return out;
}

}  // namespace meshctl
