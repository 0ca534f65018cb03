/// JSON with // and /* */ comments, as a tree whose nodes know the line they stand on: what a configuration is read
/// from, so that whatever is wrong with it has a place.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace meshd {

/// What a person wrote is wrong: "FILE:LINE: what is wrong; what would be right".
class ConfigError : public std::runtime_error {
public:
    ConfigError(std::string_view file, unsigned line, const std::string& what)
        : std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what) {}
};

struct JsonNode {
    using Array = std::vector<JsonNode>;
    struct Member;
    using Object = std::vector<Member>;  ///< in the order of the file; no key twice

    std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value;
    unsigned line = 1;

    template <class T>
    const T* as() const {
        return std::get_if<T>(&value);
    }
    /// "a number", "a list": for messages.
    const char* kind() const;
};

struct JsonNode::Member {
    std::string key;
    unsigned line = 1;  ///< where the key stands
    JsonNode value;
};

inline constexpr std::size_t kMaxJsonTreeBytes = 1 << 20;
inline constexpr unsigned kMaxJsonTreeDepth = 8;

/// Throws ConfigError for what is not JSON, a key that stands twice in one object, a number that no 64-bit integer or
/// double holds, nesting deeper than kMaxJsonTreeDepth, or a text longer than kMaxJsonTreeBytes.
JsonNode parse_json_tree(std::string_view text, std::string_view file);

}  // namespace meshd
