/// The URIs by which a meshd puts itself into the path of a dialog: <sip:TOKEN@HOST:PORT;transport=tcp;lr;meshd=NODE>.
/// NODE lets another meshd take the mesh to it when a hop between them is dead. TOKEN, where it faces a phone, names
/// that phone's binding (RFC 5626's flow token).
#pragma once

#include "voice/directory.hpp"
#include "voice/flow.hpp"
#include "voice/header.hpp"

namespace voice {

struct Waypoint {
    NodeId node;
    std::string token;  ///< empty where it does not face a phone
};

Uri waypoint_uri(const Waypoint& waypoint, const net::Endpoint& local, Transport transport);
/// Nullopt if it is another's URI. What it says is a claim: whoever wrote the message may have made it up.
std::optional<Waypoint> waypoint_of(const Uri& uri);

/// The transport that a URI asks for, by its parameter or as "sips"; UDP otherwise.
Transport transport_of(const Uri& uri);

/// The URI that others are given as a phone's Contact: <sip:TOKEN@HOST:PORT;transport=tcp>.
Uri contact_uri(std::string_view token, const net::Endpoint& local, Transport transport);

}  // namespace voice
