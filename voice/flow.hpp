/// Which way a SIP message came or goes: the transport, both ends, and who is on the other end.
#pragma once

#include <string_view>

#include "net/address.hpp"

namespace voice {

enum class Transport : std::uint8_t { udp, tcp, tls };
std::string_view via_name(Transport transport);  ///< as Via has it: "UDP", "TCP", "TLS"

/// Who is on the far end, as the owner of the sockets knows it from addresses; it decides what is believed.
enum class Side : std::uint8_t {
    phone,   ///< a user agent of this office
    centre,  ///< the central SIP server
    mesh,    ///< another meshd; its overlay source address is its identity
    outside, ///< a SIP server or phone that a number or URI has led to
    trunk,   ///< the gateway or carrier of a trunk of this office
};

/// `connection` is a number that the owner of the sockets gives each TCP or TLS connection, never zero and never reused.
/// Zero on these asks it to connect to `remote` (or to use a connection that it has there). UDP: always zero.
struct Flow {
    Transport transport = Transport::udp;
    net::Endpoint local;
    net::Endpoint remote;
    std::uint64_t connection = 0;
    Side side = Side::phone;

    bool reliable() const { return transport != Transport::udp; }
    auto operator<=>(const Flow&) const = default;
};

/// What a passive object wants sent.
struct Outgoing {
    Flow flow;
    net::Bytes bytes;
};

}  // namespace voice
