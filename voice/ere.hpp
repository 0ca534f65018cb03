/// POSIX extended regular expressions (IEEE Std 1003.1 chapter 9.4) that a stranger wrote, matched within a bound: an
/// expression of any shape costs at most the steps that it is given, and no memory beyond its own size.
///
/// Leftmost, then longest; groups from left to right as long as they can be. Undefined in POSIX and taken as meant here:
/// '+', '*', '?' or '{' with nothing before it stands for itself, so "^+44" is "^\+44". Back-references inside the
/// expression are not in POSIX EREs, and refused.
#pragma once

#include <bitset>
#include <string>
#include <vector>

#include "net/result.hpp"

namespace voice {

class Ere {
public:
    /// The error says what is wrong with it, for people.
    static net::Result<Ere> compile(std::string_view pattern, bool ignore_case);

    struct Span {
        std::size_t begin = std::string_view::npos;  ///< npos: the group took no part
        std::size_t end = 0;
        bool is_set() const { return begin != std::string_view::npos; }
    };
    enum class Outcome { matched, no_match, too_costly };
    /// Where in `text` it matches: `spans[0]` the whole, then each group. `steps` is what it may cost; some thousands are
    /// plenty for an expression that a person wrote.
    Outcome search(std::string_view text, std::size_t steps, std::vector<Span>& spans) const;

    std::size_t groups() const { return groups_; }

    static constexpr std::size_t kMaxPattern = 255;  ///< what a character-string of DNS holds
    static constexpr unsigned kMaxNesting = 32;
    static constexpr unsigned kMaxRepeat = 255;      ///< RE_DUP_MAX

private:
    struct Node {
        enum class Kind { set, begin, end, sequence, choice, group, repeat };
        Kind kind = Kind::sequence;
        std::bitset<256> set;
        std::vector<std::size_t> parts;  ///< of sequence and choice; of group and repeat one
        std::size_t group = 0;
        unsigned min = 0, max = 0;
    };
    class Parser;
    class Matcher;

    std::vector<Node> nodes_;
    std::size_t root_ = 0;
    std::size_t groups_ = 0;
};

}  // namespace voice
