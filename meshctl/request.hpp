/// A JSON-RPC request as it is built: its text is wiped when it goes, because it may hold a token or a password.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace meshctl {

class Request {
public:
    explicit Request(std::string_view method);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    // Once for each name. The first two leave out what is empty.
    Request& set(std::string_view name, std::string_view text);
    Request& set(std::string_view name, const std::vector<std::string>& texts);
    Request& set_flag(std::string_view name, bool value);
    Request& set_number(std::string_view name, long long value);

    /// The whole message; nothing can be set after it. Borrowed.
    const std::string& line();

private:
    void name(std::string_view name);
    void quote(std::string_view text);

    std::string line_;
    bool any_ = false, closed_ = false;
};

}  // namespace meshctl
