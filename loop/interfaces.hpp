/// What this machine's network looks like from here.
#pragma once

#include <string>
#include <vector>

#include "net/address.hpp"

namespace loop {

struct InterfaceAddress {
    net::IpAddress address;
    unsigned prefix_length = 0;
};

struct Interface {
    std::string name;
    std::uint32_t index = 0;
    bool up = false;
    bool running = false;  ///< up, and with a carrier
    bool loopback = false;
    bool multicast = false;
    bool point_to_point = false;
    std::vector<InterfaceAddress> addresses;
};

/// All interfaces, ordered by index.
std::vector<Interface> interfaces();

/// The address of ours from which a packet to `destination` would leave, as the routes stand; none if there is no route.
/// Sends nothing.
net::IpAddress local_address_toward(const net::IpAddress& destination);

}  // namespace loop
