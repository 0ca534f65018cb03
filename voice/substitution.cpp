#include "voice/substitution.hpp"

#include <optional>
#include <utility>

#include "voice/characters.hpp"

namespace voice {
namespace {

constexpr std::string_view kMeaning = ".[]*+?{}()|^$";  // characters that mean something in an expression

/// Up to the next delimiter, which is taken off `rest` too; escapes other than the delimiter's stay. nullopt: no
/// delimiter.
std::optional<std::string> field(std::string_view& rest, char delimiter) {
    std::string out;
    for (std::size_t i = 0; i < rest.size(); ++i) {
        if (rest[i] == delimiter) {
            rest.remove_prefix(i + 1);
            return out;
        }
        out += rest[i];
        if (rest[i] == '\\' && i + 1 < rest.size()) out += rest[++i];
    }
    return std::nullopt;
}

/// The delimiter behind a backslash is the character itself.
std::string without_escapes_of(char delimiter, std::string_view expression) {
    std::string out;
    for (std::size_t i = 0; i < expression.size(); ++i) {
        const bool escape = expression[i] == '\\' && i + 1 < expression.size();
        if (escape && expression[i + 1] == delimiter && kMeaning.find(delimiter) == kMeaning.npos) {
            out += expression[++i];
        } else {
            out += expression[i];
            if (escape) out += expression[++i];
        }
    }
    return out;
}

}  // namespace

net::Result<Substitution> Substitution::parse(std::string_view text) {
    if (text.empty()) return net::fail("the regular expression is empty");
    const char delimiter = text.front();
    if (delimiter == '\\' || delimiter == 'i' || (delimiter >= '1' && delimiter <= '9') || delimiter == 0) {
        return net::fail("the regular expression begins with what cannot be its delimiter");
    }
    auto rest = text.substr(1);
    const auto expression = field(rest, delimiter);
    const auto replacement = expression ? field(rest, delimiter) : std::nullopt;
    if (!replacement) return net::fail("the regular expression lacks a delimiter");
    bool ignore_case = false;
    for (const char c : rest) {
        if (c != 'i') return net::fail("the regular expression has an unknown flag, or a delimiter too many");
        ignore_case = true;
    }
    auto ere = Ere::compile(without_escapes_of(delimiter, *expression), ignore_case);
    if (!ere) return net::fail("the regular expression has " + ere.error().message);

    Substitution out(std::move(*ere));
    std::string literal;
    for (std::size_t i = 0; i < replacement->size(); ++i) {
        char c = (*replacement)[i];
        if (c != '\\') {
            literal += c;
            continue;
        }
        if (++i == replacement->size()) return net::fail("the replacement ends in a backslash");
        c = (*replacement)[i];
        if (!is_digit(c) || c == delimiter) {
            literal += c;
            continue;
        }
        const auto group = static_cast<std::size_t>(c - '0');
        if (group == 0 || group > out.ere_.groups()) return net::fail("the replacement refers to a group that is not there");
        out.pieces_.push_back({std::exchange(literal, {}), group});
    }
    out.pieces_.push_back({std::move(literal), 0});
    return out;
}

net::Result<std::string> Substitution::apply(std::string_view text) const {
    std::vector<Ere::Span> spans;
    switch (ere_.search(text, kMaxSteps, spans)) {
        case Ere::Outcome::no_match: return net::fail("the regular expression does not match");
        case Ere::Outcome::too_costly: return net::fail("the regular expression would take too long");
        case Ere::Outcome::matched: break;
    }
    std::string out;
    for (const auto& piece : pieces_) {
        out += piece.text;
        if (piece.group > 0 && spans[piece.group].is_set()) {
            const auto& span = spans[piece.group];
            out += text.substr(span.begin, span.end - span.begin);
        }
        if (out.size() > kMaxResult) return net::fail("the result is too long");
    }
    return out;
}

}  // namespace voice
