#include "voice/ere.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "voice/characters.hpp"

namespace voice {
namespace {

constexpr unsigned kUnbounded = UINT32_MAX;
constexpr unsigned kMaxDepth = 4000;  // of the matcher's recursion

std::size_t index(char c) { return static_cast<unsigned char>(c); }

bool in_class(std::string_view name, unsigned c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool lower = c >= 'a' && c <= 'z';
    const bool digit = c >= '0' && c <= '9';
    const bool graph = c > ' ' && c <= '~';
    if (name == "digit") return digit;
    if (name == "alpha") return upper || lower;
    if (name == "alnum") return upper || lower || digit;
    if (name == "upper") return upper;
    if (name == "lower") return lower;
    if (name == "xdigit") return digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (name == "space") return c == ' ' || (c >= 9 && c <= 13);
    if (name == "blank") return c == ' ' || c == 9;
    if (name == "punct") return graph && !upper && !lower && !digit;
    if (name == "print") return graph || c == ' ';
    if (name == "graph") return graph;
    return name == "cntrl" && (c < ' ' || c == 127);
}

bool is_class(std::string_view name) {
    for (unsigned c = 0; c < 256; ++c) {
        if (in_class(name, c)) return true;
    }
    return false;
}

}  // namespace

class Ere::Parser {
public:
    Parser(std::string_view pattern, bool ignore_case, Ere& out) : rest_(pattern), ignore_case_(ignore_case), out_(out) {}

    /// Empty if all went well.
    std::string run() {
        out_.root_ = choice(0);
        if (why_.empty() && !rest_.empty()) why_ = "a ) that no ( opened";
        return why_;
    }

private:
    std::size_t add(Node node) {
        out_.nodes_.push_back(std::move(node));
        return out_.nodes_.size() - 1;
    }
    std::size_t fail(const char* why) {
        if (why_.empty()) why_ = why;
        rest_ = {};
        return 0;
    }
    bool at(char c) const { return !rest_.empty() && rest_.front() == c; }
    char next() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    std::size_t choice(unsigned depth) {
        if (depth > kMaxNesting) return fail("nested too deeply");
        Node node;
        node.kind = Node::Kind::choice;
        node.parts.push_back(sequence(depth));
        while (at('|')) {
            next();
            node.parts.push_back(sequence(depth));
        }
        return node.parts.size() == 1 ? node.parts.front() : add(std::move(node));
    }

    std::size_t sequence(unsigned depth) {
        Node node;
        bool repeatable = false;  // there is something that '+' could repeat
        while (!rest_.empty() && !at('|') && !(at(')') && depth > 0) && why_.empty()) {
            if (at(')')) break;
            const bool operation = at('*') || at('+') || at('?') || (at('{') && bounds_ahead());
            if (operation && repeatable) {
                Node repeat;
                repeat.kind = Node::Kind::repeat;
                std::tie(repeat.min, repeat.max) = bounds();
                repeat.parts.push_back(node.parts.back());
                node.parts.back() = add(std::move(repeat));
                continue;
            }
            const bool anchor = at('^') || at('$');
            node.parts.push_back(operation ? literal(next()) : atom(depth));
            repeatable = !anchor;
        }
        return node.parts.size() == 1 ? node.parts.front() : add(std::move(node));
    }

    std::size_t atom(unsigned depth) {
        const char c = next();
        Node node;
        switch (c) {
            case '(': {
                node.kind = Node::Kind::group;
                node.group = ++out_.groups_;
                node.parts.push_back(choice(depth + 1));
                if (!why_.empty()) return 0;
                if (!at(')')) return fail("a ( that nothing closes");
                next();
                return add(std::move(node));
            }
            case '^':
            case '$':
                node.kind = c == '^' ? Node::Kind::begin : Node::Kind::end;
                return add(std::move(node));
            case '.':
                node.kind = Node::Kind::set;
                node.set.set();
                node.set.reset(0);
                return add(std::move(node));
            case '[':
                return bracket();
            case '\\':
                if (rest_.empty()) return fail("a backslash at the end");
                if (is_digit(rest_.front())) return fail("a back-reference inside the expression");
                return literal(next());
            default:
                return literal(c);
        }
    }

    std::size_t literal(char c) {
        Node node;
        node.kind = Node::Kind::set;
        put(node.set, index(c));
        return add(std::move(node));
    }

    void put(std::bitset<256>& set, std::size_t c) const {
        set.set(c);
        if (!ignore_case_) return;
        if (c >= 'a' && c <= 'z') set.set(c - 'a' + 'A');
        if (c >= 'A' && c <= 'Z') set.set(c - 'A' + 'a');
    }

    std::size_t bracket() {
        Node node;
        node.kind = Node::Kind::set;
        const bool negated = at('^');
        if (negated) next();
        for (bool first = true;; first = false) {
            if (rest_.empty()) return fail("a [ that nothing closes");
            if (at(']') && !first) break;
            if (rest_.starts_with("[:")) {
                const auto end = rest_.find(":]");
                const auto name = end == rest_.npos ? std::string_view() : rest_.substr(2, end - 2);
                if (!is_class(name)) return fail("an unknown class of characters");
                for (unsigned c = 0; c < 256; ++c) {
                    if (in_class(name, c)) put(node.set, c);
                }
                rest_.remove_prefix(end + 2);
                continue;
            }
            if (rest_.starts_with("[.") || rest_.starts_with("[=")) return fail("a collating element");
            const auto low = index(next());
            auto high = low;
            if (rest_.size() > 1 && at('-') && rest_[1] != ']') {
                next();
                if (rest_.starts_with("[.") || rest_.starts_with("[=") || rest_.starts_with("[:")) return fail("a range to no character");
                high = index(next());
                if (high < low) return fail("a range that ends before it begins");
            }
            for (auto c = low; c <= high; ++c) put(node.set, c);
        }
        next();
        if (negated) node.set.flip();
        node.set.reset(0);
        return add(std::move(node));
    }

    /// "{2}", "{2,}", "{2,3}": else '{' is a character.
    bool bounds_ahead() const {
        auto text = rest_.substr(1);
        const auto digits = [&] {
            std::size_t count = 0;
            while (count < text.size() && is_digit(text[count])) ++count;
            text.remove_prefix(count);
            return count;
        };
        if (digits() == 0) return false;
        if (text.starts_with(',')) {
            text.remove_prefix(1);
            digits();
        }
        return text.starts_with('}');
    }

    std::pair<unsigned, unsigned> bounds() {
        switch (next()) {
            case '*': return {0, kUnbounded};
            case '+': return {1, kUnbounded};
            case '?': return {0, 1};
            default: break;
        }
        const auto number = [&] {
            unsigned value = 0;
            while (!rest_.empty() && is_digit(rest_.front())) {
                value = std::min(value * 10 + static_cast<unsigned>(next() - '0'), 10000U);
            }
            return value;
        };
        const auto min = number();
        auto max = min;
        if (at(',')) {
            next();
            max = at('}') ? kUnbounded : number();
            if (min > kMaxRepeat || (max > kMaxRepeat && max != kUnbounded)) fail("a repeat that is too large");
        }
        if (!rest_.empty()) next();
        if (min > kMaxRepeat) fail("a repeat that is too large");
        if (max < min) fail("a repeat that ends before it begins");
        return {min, max};
    }

    std::string_view rest_;
    bool ignore_case_;
    Ere& out_;
    std::string why_;
};

/// Walks all ways to match from one place and keeps the best. What is still to match after a node is a list of frames
/// that live on the stack of those who wait for it.
class Ere::Matcher {
public:
    Matcher(const Ere& ere, std::string_view text, std::size_t steps)
        : ere_(ere), text_(text), steps_(steps), now_(ere.groups_ + 1) {}

    bool search_from(std::size_t start) {
        now_.assign(now_.size(), Span{});
        now_[0].begin = start;
        node(ere_.root_, start, nullptr);
        return !best_.empty();
    }
    bool exhausted() const { return exhausted_; }
    std::vector<Span> take_best() { return std::move(best_); }

private:
    struct Frame {
        enum class Kind { part, close, again };
        Kind kind;
        const Node* node;
        std::size_t count;  ///< part: the next one; again: how often so far
        std::size_t begin;  ///< close, again: where this round began
        const Frame* next;
    };

    bool spend() {
        if (steps_ == 0 || depth_ >= kMaxDepth) exhausted_ = true;
        if (exhausted_) return false;
        --steps_;
        return true;
    }

    void node(std::size_t which, std::size_t at, const Frame* then) {
        if (!spend()) return;
        ++depth_;
        const auto& n = ere_.nodes_[which];
        switch (n.kind) {
            case Node::Kind::set:
                if (at < text_.size() && n.set[index(text_[at])]) resume(then, at + 1);
                break;
            case Node::Kind::begin:
                if (at == 0) resume(then, at);
                break;
            case Node::Kind::end:
                if (at == text_.size()) resume(then, at);
                break;
            case Node::Kind::sequence: {
                const Frame frame{Frame::Kind::part, &n, 0, 0, then};
                resume(&frame, at);
                break;
            }
            case Node::Kind::choice:
                for (const auto part : n.parts) node(part, at, then);
                break;
            case Node::Kind::group: {
                const Frame frame{Frame::Kind::close, &n, 0, at, then};
                node(n.parts.front(), at, &frame);
                break;
            }
            case Node::Kind::repeat:
                again(n, 0, at, then);
                break;
        }
        --depth_;
    }

    void again(const Node& n, std::size_t count, std::size_t at, const Frame* then) {
        if (n.max == kUnbounded || count < n.max) {
            const Frame frame{Frame::Kind::again, &n, count + 1, at, then};
            node(n.parts.front(), at, &frame);
        }
        if (count >= n.min) resume(then, at);
    }

    void resume(const Frame* frame, std::size_t at) {
        if (!spend()) return;
        if (frame == nullptr) return accept(at);
        ++depth_;
        switch (frame->kind) {
            case Frame::Kind::part:
                if (frame->count == frame->node->parts.size()) {
                    resume(frame->next, at);
                } else {
                    const Frame rest{Frame::Kind::part, frame->node, frame->count + 1, 0, frame->next};
                    node(frame->node->parts[frame->count], at, &rest);
                }
                break;
            case Frame::Kind::close: {
                auto& span = now_[frame->node->group];
                const auto before = std::exchange(span, {frame->begin, at});
                resume(frame->next, at);
                span = before;
                break;
            }
            case Frame::Kind::again:
                // A round that took nothing would go on for ever: it counts for all that are still wanted.
                if (at == frame->begin) {
                    resume(frame->next, at);
                } else {
                    again(*frame->node, frame->count, at, frame->next);
                }
                break;
        }
        --depth_;
    }

    void accept(std::size_t at) {
        now_[0].end = at;
        if (best_.empty() || better()) best_ = now_;
    }

    bool better() const {
        for (std::size_t i = 0; i < now_.size(); ++i) {
            const auto& a = now_[i];
            const auto& b = best_[i];
            if (a.is_set() != b.is_set()) return a.is_set();
            if (!a.is_set()) continue;
            if (a.begin != b.begin) return a.begin < b.begin;
            if (a.end != b.end) return a.end > b.end;
        }
        return false;
    }

    const Ere& ere_;
    std::string_view text_;
    std::size_t steps_;
    unsigned depth_ = 0;
    bool exhausted_ = false;
    std::vector<Span> now_;
    std::vector<Span> best_;
};

net::Result<Ere> Ere::compile(std::string_view pattern, bool ignore_case) {
    if (pattern.size() > kMaxPattern) return net::fail("longer than 255 characters");
    Ere out;
    if (auto why = Parser(pattern, ignore_case, out).run(); !why.empty()) return net::fail(std::move(why));
    return out;
}

Ere::Outcome Ere::search(std::string_view text, std::size_t steps, std::vector<Span>& spans) const {
    Matcher matcher(*this, text, steps);
    for (std::size_t start = 0; start <= text.size(); ++start) {
        const bool found = matcher.search_from(start);
        if (matcher.exhausted()) return Outcome::too_costly;
        if (!found) continue;
        spans = matcher.take_best();
        return Outcome::matched;
    }
    return Outcome::no_match;
}

}  // namespace voice
