/// Who may ask DNS questions of this node, and of what, by the roster as it is. `from` is who asks, `to` the address of ours.
/// Control thread only.
#pragma once

#include "mesh/node.hpp"

namespace meshd {

/// This machine may; at an address of the overlay members and the LANs behind them, at another `clients`.
bool may_ask(const mesh::Node& node, const std::vector<net::Prefix>& clients, const net::IpAddress& from,
             const net::IpAddress& to, bool overlay);

/// Who has which number: digit by digit, whoever may ask that lists all users. This machine, members with phones, and
/// `networks`.
bool may_ask_numbers(const mesh::Node& node, const std::vector<net::Prefix>& networks, const net::IpAddress& from,
                     const net::IpAddress& to);

}  // namespace meshd
