#include "meshctl/command.hpp"

#include "net/address.hpp"

namespace meshctl {

std::string Arguments::text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() || found->second.empty() ? std::string() : found->second.front();
}

std::vector<std::string> Arguments::texts(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::vector<std::string>() : found->second;
}

bool Invocation::printed_as_json(const Value& result) const {
    if (json) out << result.pretty();
    return json;
}

void check_prefixes(const Arguments& arguments, const char* option) {
    for (const auto& text : arguments.texts(option)) {
        if (net::Prefix::parse(text)) continue;
        throw UsageError(std::string(option) + " must be a network without host bits, such as 192.168.1.0/24, not \"" +
                         text + '"');
    }
}

void check_endpoints(const Arguments& arguments, const char* option) {
    for (const auto& text : arguments.texts(option)) {
        const auto endpoint = net::Endpoint::parse(text);
        if (endpoint && endpoint->port != 0) continue;
        throw UsageError(std::string(option) +
                         " must be ADDRESS:PORT, such as 198.51.100.7:51820 or [2001:db8::7]:51820, " + "not \"" +
                         text + '"');
    }
}

}  // namespace meshctl
