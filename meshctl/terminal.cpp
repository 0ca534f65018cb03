#include "meshctl/terminal.hpp"

#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace meshctl {
namespace {

/// Bytes of the UTF-8 character at the front (RFC 3629), 0 if there is none.
std::size_t character_bytes(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::size_t size = at(0) < 0x80   ? 1
                             : at(0) < 0xc2 ? 0
                             : at(0) < 0xe0 ? 2
                             : at(0) < 0xf0 ? 3
                             : at(0) < 0xf5 ? 4
                                            : 0;
    if (size == 0 || size > text.size()) return 0;
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xc0) != 0x80) return 0;
    }
    return size;
}

}  // namespace

bool wants_colour() {
    const auto* no_colour = std::getenv("NO_COLOR");
    const auto* term = std::getenv("TERM");
    return ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0') && term != nullptr &&
           std::string_view(term) != "dumb";
}

std::string coloured(std::string_view text, Colour colour, bool wanted) {
    if (!wanted || text.empty()) return std::string(text);
    const auto in = [&](const char* code) { return code + std::string(text) + "\033[0m"; };
    switch (colour) {
        case Colour::none:
            break;
        case Colour::good:
            return in("\033[32m");
        case Colour::warning:
            return in("\033[33m");
        case Colour::bad:
            return in("\033[31m");
        case Colour::faint:
            return in("\033[2m");
    }
    return std::string(text);
}

std::string printable(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto size = character_bytes(text);
        const auto first = static_cast<std::uint8_t>(text[0]);
        const bool c1 = size == 2 && first == 0xc2 && static_cast<std::uint8_t>(text[1]) < 0xa0;
        if (size == 0 || c1 || first < 0x20 || first == 0x7f) {
            out += '?';
        } else {
            out += text.substr(0, size);
        }
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out;
}

std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<std::uint8_t>(c) & 0xc0) != 0x80; }));
}

}  // namespace meshctl
