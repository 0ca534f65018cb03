/// Text and bytes that hold a secret for a while, where no Secret<N> will do: of any length, on their way through a parser.
#pragma once

#include <string.h>

namespace net {

/// Overwrites what a string, vector or array holds. Not what it has left behind where it grew: reserve() before.
template <class Container>
void wipe(Container& secret) {
    if (!secret.empty()) explicit_bzero(secret.data(), secret.size() * sizeof(*secret.data()));
}

/// Wipes what it refers to at the end of its scope.
template <class Container>
class WipedAtEnd {
public:
    explicit WipedAtEnd(Container& secret) : secret_(secret) {}
    ~WipedAtEnd() { wipe(secret_); }
    WipedAtEnd(const WipedAtEnd&) = delete;
    WipedAtEnd& operator=(const WipedAtEnd&) = delete;

private:
    Container& secret_;
};

}  // namespace net
