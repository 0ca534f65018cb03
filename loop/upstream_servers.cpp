#include "loop/upstream_servers.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace loop {
namespace {

constexpr std::size_t kMostOfFile = 16 * 1024;

std::string_view next_word(std::string_view& line) {
    constexpr std::string_view kBlanks = " \t\r";
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    const auto word = line.substr(0, line.find_first_of(kBlanks));
    line.remove_prefix(word.size());
    return word;
}

}  // namespace

std::vector<net::IpAddress> upstream_servers(std::string_view text) {
    std::vector<net::IpAddress> out;
    while (!text.empty() && out.size() < kMostUpstreamServers) {
        auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (next_word(line) != "nameserver") continue;
        const auto address = net::IpAddress::parse(next_word(line));
        if (!address || address->is_loopback() || address->is_unspecified() || address->is_link_local()) continue;
        if (std::find(out.begin(), out.end(), *address) == out.end()) out.push_back(*address);
    }
    return out;
}

std::vector<net::IpAddress> upstream_servers() {
    for (const auto* const path : {"/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"}) {
        std::ifstream file(path);
        std::string text(kMostOfFile, '\0');
        file.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
        if (auto servers = upstream_servers(text); !servers.empty()) return servers;
    }
    return {};
}

}  // namespace loop
