#include "loop/interfaces.hpp"

#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>

#include "loop/file_descriptor.hpp"
#include "loop/socket_address.hpp"
#include "loop/underlay_mark.hpp"

namespace loop {
namespace {

unsigned prefix_length_of(const sockaddr* mask) {
    if (mask == nullptr) return 0;
    const auto bits = to_endpoint(mask).address;
    int length = 0;
    for (const auto byte : bits.bytes()) length += std::popcount(std::to_integer<std::uint8_t>(byte));
    return static_cast<unsigned>(length);
}

}  // namespace

std::vector<Interface> interfaces() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return {};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
    std::map<std::string, Interface> found;
    for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next) {
        auto& interface = found[entry->ifa_name];
        if (interface.name.empty()) {
            interface.name = entry->ifa_name;
            interface.index = ::if_nametoindex(entry->ifa_name);
            interface.up = (entry->ifa_flags & IFF_UP) != 0;
            interface.running = (entry->ifa_flags & IFF_RUNNING) != 0;
            interface.loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
            interface.multicast = (entry->ifa_flags & IFF_MULTICAST) != 0;
            interface.point_to_point = (entry->ifa_flags & IFF_POINTOPOINT) != 0;
        }
        if (entry->ifa_addr == nullptr) continue;
        if (const auto endpoint = to_endpoint(entry->ifa_addr); !endpoint.is_none()) {
            interface.addresses.push_back({endpoint.address, prefix_length_of(entry->ifa_netmask)});
        }
    }
    std::vector<Interface> out;
    for (auto& [name, interface] : found) {
        if (interface.index != 0) out.push_back(std::move(interface));
    }
    std::ranges::sort(out, {}, &Interface::index);
    return out;
}

net::IpAddress local_address_toward(const net::IpAddress& destination) {
    if (destination.is_none()) return {};
    const FileDescriptor socket(::socket(family_of(destination), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    mark_underlay(socket.get());
    constexpr std::uint16_t kDiscardPort = 9;
    const auto address = to_socket_address({destination, kDiscardPort, 0});
    if (!socket.is_open() || ::connect(socket.get(), address.get(), address.length) != 0) return {};
    return local_endpoint(socket.get()).address;
}

}  // namespace loop
