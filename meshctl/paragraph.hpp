/// Sentences that fit a terminal of 80 columns.
#pragma once

#include <string>
#include <string_view>

namespace meshctl {

/// `label` in a column of that width, and `text` beside it, broken between words. Ends with a line end. With an empty label
/// and no column it is a paragraph of which all lines but the first are indented by two.
std::string paragraph(std::string_view label, std::string_view text, std::size_t column = 0);

}  // namespace meshctl
