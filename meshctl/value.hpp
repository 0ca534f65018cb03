/// A JSON value that meshd sent, for reading. What is not there, or of another kind than asked for, is null, so that a
/// table can be made of whatever came.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meshctl {

class Value {
public:
    Value();  ///< null
    static std::optional<Value> parse(std::string_view text);

    Value operator[](const char* member) const;
    std::vector<Value> elements() const;  ///< none unless it is a list
    std::vector<std::pair<std::string, Value>> members() const;
    bool has(const char* member) const;
    bool is_null() const;

    std::string text() const;  ///< empty unless it is a text
    std::optional<double> number() const;
    bool flag() const;                                           ///< false unless it is true
    std::string joined(std::string_view separator = " ") const;  ///< of a list of texts
    std::string pretty() const;                                  ///< indented, with a line end

private:
    Value(std::shared_ptr<const nlohmann::json> root, const nlohmann::json* at);
    std::shared_ptr<const nlohmann::json> root_;
    const nlohmann::json* at_;
};

/// {"error":{"code":...,"message":...,"hint":...}}, indented, with a line end: what --json prints of a failure.
std::string error_json(int code, const std::string& message, const std::string& hint);

}  // namespace meshctl
