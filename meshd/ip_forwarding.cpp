#include "meshd/ip_forwarding.hpp"

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

}  // namespace meshd
