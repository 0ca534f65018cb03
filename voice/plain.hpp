/// Nearly all messages are plain: known methods, and the headers that a proxy acts on without quotes, escapes, comments,
/// folds, lists or compact names. Of these our own readers have seen all that there is to judge, and the second opinion of
/// sofia-sip's parser, half of the time it takes to read a message, is not needed. tests/unit/voice/test_plain.cpp shows by mutation
/// that it would have agreed.
#pragma once

#include <string_view>

namespace voice {

/// `head` is start line and headers to the empty line, and has passed our own readers. False where in doubt.
bool is_plain(std::string_view head);

}  // namespace voice
