/// A way to find members that finds them by itself, and what it tells of them.
#pragma once

#include <functional>
#include <vector>

#include "net/address.hpp"
#include "net/secret.hpp"

namespace discovery {

/// A member on a network that we are on too, and where it says it can be reached: a hint, to be proved by a handshake.
struct Member {
    net::NodeKey node;
    std::vector<net::Endpoint> endpoints;  ///< link-local ones have their scope; never empty
};

struct Sightings {
    std::function<void(const Member&)> found;      ///< new, or its endpoints have changed: all of them are in it
    std::function<void(const net::NodeKey&)> lost; ///< no endpoint of it is left
};

/// An address of this machine, with the interface that has it.
struct LocalAddress {
    std::uint32_t interface = 0;
    net::IpAddress address;
    auto operator<=>(const LocalAddress&) const = default;
};

class Method {
public:
    virtual ~Method() = default;
    virtual const char* name() const = 0;
    /// Our addresses, at the beginning and whenever they change; without loopback and our own mesh device.
    virtual void set_addresses(std::vector<LocalAddress> addresses) = 0;
};

}  // namespace discovery
