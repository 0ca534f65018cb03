/// What can fail for a reason that a person should read. Bad packets are not that: their parsers give nullopt.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace net {

/// One sentence: what is wrong, where, and what to do. It never holds a secret.
struct Error {
    std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string message) { return tl::unexpected<Error>(Error{std::move(message)}); }

}  // namespace net
