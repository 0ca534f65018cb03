#include "meshctl/request.hpp"

#include <string.h>

namespace meshctl {

Request::Request(std::string_view method) {
    // Room enough that it never moves and leaves a copy behind.
    line_.reserve(1 << 16);
    line_ = R"({"jsonrpc":"2.0","id":1,"method":)";
    quote(method);
    line_ += R"(,"params":{)";
}

Request::~Request() {
    explicit_bzero(line_.data(), line_.capacity());
}

/// RFC 8259 section 7.
void Request::quote(std::string_view text) {
    constexpr char kHex[] = "0123456789abcdef";
    line_ += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            line_ += '\\';
            line_ += c;
        } else if (byte < 0x20) {
            line_ += "\\u00";
            line_ += kHex[byte >> 4];
            line_ += kHex[byte & 15];
        } else {
            line_ += c;
        }
    }
    line_ += '"';
}

void Request::name(std::string_view name) {
    if (any_) line_ += ',';
    any_ = true;
    quote(name);
    line_ += ':';
}

Request& Request::set(std::string_view key, std::string_view text) {
    if (text.empty()) return *this;
    name(key);
    quote(text);
    return *this;
}

Request& Request::set(std::string_view key, const std::vector<std::string>& texts) {
    if (texts.empty()) return *this;
    name(key);
    line_ += '[';
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (i > 0) line_ += ',';
        quote(texts[i]);
    }
    line_ += ']';
    return *this;
}

Request& Request::set_flag(std::string_view key, bool value) {
    name(key);
    line_ += value ? "true" : "false";
    return *this;
}

Request& Request::set_number(std::string_view key, long long value) {
    name(key);
    line_ += std::to_string(value);
    return *this;
}

const std::string& Request::line() {
    if (!closed_) line_ += "}}";
    closed_ = true;
    return line_;
}

}  // namespace meshctl
