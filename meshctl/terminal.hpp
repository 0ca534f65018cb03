/// What people see: colours where a terminal shows them, nothing that could drive the terminal from outside.
#pragma once

#include <string>
#include <string_view>

namespace meshctl {

enum class Colour { none, good, warning, bad, faint };

/// Whether standard output is a terminal that wants colours (NO_COLOR, TERM=dumb).
bool wants_colour();
/// `text` in `colour`, or as it is.
std::string coloured(std::string_view text, Colour colour, bool wanted);

/// Control characters, C1 ones too, and bytes that are no UTF-8 become "?": names and addresses come from other
/// machines.
std::string printable(std::string_view text);
/// Columns that it takes, one for each character.
std::size_t width(std::string_view text);

}  // namespace meshctl
