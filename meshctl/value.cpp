#include "meshctl/value.hpp"

#include <nlohmann/json.hpp>

namespace meshctl {

using nlohmann::json;

namespace {
const json kNull;
}

Value::Value() : at_(&kNull) {}
Value::Value(std::shared_ptr<const json> root, const json* at) : root_(std::move(root)), at_(at) {}

std::optional<Value> Value::parse(std::string_view text) {
    auto parsed = std::make_shared<json>(json::parse(text, nullptr, false));
    if (parsed->is_discarded()) return std::nullopt;
    const auto* at = parsed.get();
    return Value(std::move(parsed), at);
}

Value Value::operator[](const char* member) const {
    if (!at_->is_object()) return {};
    const auto found = at_->find(member);
    return found == at_->end() ? Value() : Value(root_, &*found);
}

std::vector<Value> Value::elements() const {
    std::vector<Value> out;
    if (!at_->is_array()) return out;
    for (const auto& element : *at_) out.push_back(Value(root_, &element));
    return out;
}

std::vector<std::pair<std::string, Value>> Value::members() const {
    std::vector<std::pair<std::string, Value>> out;
    if (!at_->is_object()) return out;
    for (auto it = at_->begin(); it != at_->end(); ++it) out.emplace_back(it.key(), Value(root_, &*it));
    return out;
}

bool Value::has(const char* member) const {
    return at_->is_object() && at_->contains(member);
}
bool Value::is_null() const {
    return at_->is_null();
}
std::string Value::text() const {
    return at_->is_string() ? at_->get<std::string>() : std::string();
}
bool Value::flag() const {
    return at_->is_boolean() && at_->get<bool>();
}

std::optional<double> Value::number() const {
    return at_->is_number() ? std::optional(at_->get<double>()) : std::nullopt;
}

std::string Value::joined(std::string_view separator) const {
    std::string out;
    for (const auto& element : elements()) out.append(out.empty() ? "" : separator).append(element.text());
    return out;
}

std::string Value::pretty() const {
    return at_->dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string error_json(int code, const std::string& message, const std::string& hint) {
    json error{{"message", message}};
    if (code != 0) error["code"] = code;
    if (!hint.empty()) error["hint"] = hint;
    return json{{"error", std::move(error)}}.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace meshctl
