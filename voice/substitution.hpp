/// The regexp field of a NAPTR record: "delimiter, expression, delimiter, replacement, delimiter, flags" (RFC 3402
/// section 3.2).
#pragma once

#include "voice/ere.hpp"

namespace voice {

class Substitution {
public:
    /// The delimiter is any character but a backslash, a digit from 1 to 9 and 'i'; between, it is written behind a
    /// backslash. The error says what is wrong, for people.
    static net::Result<Substitution> parse(std::string_view text);

    /// What becomes of the text: the replacement, with what the groups matched in its back-references. The error says
    /// why there is none: it does not match, or would cost too much.
    net::Result<std::string> apply(std::string_view text) const;

    /// Of one expression on one number; what people write takes some hundred.
    static constexpr std::size_t kMaxSteps = 5000;
    static constexpr std::size_t kMaxResult = 1024;

private:
    /// A piece of the replacement: text, or the number of a group.
    struct Piece {
        std::string text;
        std::size_t group = 0;
    };
    explicit Substitution(Ere ere) : ere_(std::move(ere)) {}

    Ere ere_;
    std::vector<Piece> pieces_;
};

}  // namespace voice
