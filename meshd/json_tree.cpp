// nlohmann's parser tells its SAX consumer what it met but not where. It reads through an iterator of ours, which
// counts lines; the line of an event is that of the last character read that is not white space, because the parser
// looks one character ahead to see a number end.
#include "meshd/json_tree.hpp"

#include <nlohmann/json.hpp>

namespace meshd {
namespace {

struct Position {
    unsigned line = 1;              // of the next character
    unsigned significant_line = 1;  // of the last one read that is not white space

    void pass(char c) {
        if (c == '\n') ++line;
        if (c != '\n' && c != '\r' && c != ' ' && c != '\t') significant_line = line;
    }
};

class CountingIterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    CountingIterator(const char* at, Position* position) : at_(at), position_(position) {}
    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        position_->pass(*at_++);
        return *this;
    }
    CountingIterator operator++(int) {
        const auto before = *this;
        ++*this;
        return before;
    }
    bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
    bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

private:
    const char* at_;
    Position* position_;
};

/// The reason alone: nlohmann's text begins with its own name and position, and lists what it has read so far.
std::string reason(std::string_view message) {
    if (const auto start = message.find("syntax error"); start != std::string_view::npos) {
        message.remove_prefix(start);
    } else if (const auto bracket = message.find("] "); bracket != std::string_view::npos) {
        message.remove_prefix(bracket + 2);
    }
    return std::string(message);
}

class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
public:
    TreeBuilder(std::string_view file, const Position& position) : file_(file), position_(position) {}

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(std::int64_t value) override { return add(value); }
    bool number_unsigned(std::uint64_t value) override {
        if (value > INT64_MAX) refuse("the number " + std::to_string(value) + " is too large");
        return add(static_cast<std::int64_t>(value));
    }
    bool number_float(double value, const std::string&) override { return add(value); }
    bool string(std::string& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return false; }

    bool start_object(std::size_t) override { return open(JsonNode::Object()); }
    bool start_array(std::size_t) override { return open(JsonNode::Array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(std::string& key) override {
        auto& members = std::get<JsonNode::Object>(open_.back()->value);
        for (const auto& member : members) {
            if (member.key != key) continue;
            refuse("\"" + key + "\" stands here a second time; the first is on line " + std::to_string(member.line));
        }
        members.push_back({std::move(key), position_.significant_line, {}});
        return true;
    }

    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
        refuse("this is not JSON: " + reason(error.what()));
    }

    JsonNode take() { return std::move(root_); }

private:
    [[noreturn]] void refuse(const std::string& what) const {
        throw ConfigError(file_, position_.significant_line, what);
    }

    // Elements of a container move only when another one is added to it, and only the innermost open one grows: the
    // pointers to the open containers stay good.
    template <class T>
    JsonNode& place(T value) {
        JsonNode node{std::move(value), position_.significant_line};
        if (open_.empty()) return root_ = std::move(node);
        if (auto* array = std::get_if<JsonNode::Array>(&open_.back()->value)) {
            return array->emplace_back(std::move(node));
        }
        return std::get<JsonNode::Object>(open_.back()->value).back().value = std::move(node);
    }
    template <class T>
    bool add(T value) {
        place(std::move(value));
        return true;
    }
    template <class T>
    bool open(T container) {
        if (open_.size() == kMaxJsonTreeDepth) {
            refuse("nested too deeply; no setting needs more than " + std::to_string(kMaxJsonTreeDepth) + " levels");
        }
        open_.push_back(&place(std::move(container)));
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    std::string_view file_;
    const Position& position_;
    JsonNode root_;
    std::vector<JsonNode*> open_;
};

}  // namespace

const char* JsonNode::kind() const {
    static constexpr const char* kNames[] = {"null",   "true or false", "a number", "a number with a fraction",
                                             "a text", "a list",        "an object"};
    return kNames[value.index()];
}

JsonNode parse_json_tree(std::string_view text, std::string_view file) {
    if (text.size() > kMaxJsonTreeBytes) {
        throw ConfigError(file, 1,
                          "the file has " + std::to_string(text.size()) + " bytes; no configuration needs " +
                              "more than " + std::to_string(kMaxJsonTreeBytes));
    }
    Position position;
    TreeBuilder builder(file, position);
    const auto* first = text.data();
    nlohmann::json::sax_parse(CountingIterator(first, &position), CountingIterator(first + text.size(), &position),
                              &builder, nlohmann::json::input_format_t::json, /*strict=*/true,
                              /*ignore_comments=*/true);
    return builder.take();
}

}  // namespace meshd
