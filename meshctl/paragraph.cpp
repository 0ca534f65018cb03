#include "meshctl/paragraph.hpp"

#include <algorithm>

#include "meshctl/terminal.hpp"

namespace meshctl {

std::string paragraph(std::string_view label, std::string_view text, std::size_t column) {
    constexpr std::size_t kColumns = 80;
    const auto safe = printable(text);
    std::string out(label);
    out.append(column - std::min(column, width(label)), ' ');
    const std::string indent(column == 0 ? 2 : column, ' ');
    auto used = width(out);
    bool any = false;
    for (std::string_view rest = safe; !rest.empty();) {
        const auto space = rest.find(' ');
        const auto word = rest.substr(0, space);
        rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
        if (any && used + 1 + width(word) > kColumns) {
            out += '\n' + indent;
            used = indent.size();
        } else if (any) {
            out += ' ';
            ++used;
        }
        out += word;
        used += width(word);
        any = true;
    }
    return out + '\n';
}

}  // namespace meshctl
