/// Nearly all messages are plain: known methods, and the headers that a proxy acts on without escapes, comments, folds or
/// compact names, quotes only around a name, lists only of Via and routes. Of these one look says that our own readers will understand each address and Via
/// when they are asked for it, and that sofia-sip's parser, most of the time it takes to read a message, would agree.
/// tests/unit/voice/test_plain.cpp shows both by mutation.
#pragma once

#include <string_view>

namespace voice {

/// `head` is start line and headers to the empty line; those that a message must have, or may have once only, have been
/// counted, and its numbers read. False where in doubt.
bool is_plain(std::string_view head);

}  // namespace voice
