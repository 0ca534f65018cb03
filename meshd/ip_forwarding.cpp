#include "meshd/ip_forwarding.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace meshd {
namespace {

bool is_on(const char* path) {
    char value = '1';
    std::ifstream(path) >> value;
    return value != '0';
}

}  // namespace

IpForwarding ip_forwarding() {
    return {is_on("/proc/sys/net/ipv4/ip_forward"), is_on("/proc/sys/net/ipv6/conf/all/forwarding")};
}

std::vector<std::string> strict_interfaces(const std::string& except) {
    const std::filesystem::path settings("/proc/sys/net/ipv4/conf");
    const auto value_of = [&](const std::string& name) {
        int value = 0;
        std::ifstream(settings / name / "rp_filter") >> value;
        return value;
    };
    const int all = value_of("all");
    std::vector<std::string> out;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(settings, ignored)) {
        const auto name = entry.path().filename().string();
        if (name == "all" || name == "default" || name == "lo" || name == except) continue;
        if (std::max(all, value_of(name)) == 1) out.push_back(name);
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace meshd
