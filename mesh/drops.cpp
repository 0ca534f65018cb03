#include "mesh/drops.hpp"

namespace mesh {

std::string_view name_of(Drop reason) {
    switch (reason) {
        case Drop::malformed_datagram: return "malformed_datagram";
        case Drop::bad_mac1: return "bad_mac1";
        case Drop::forged_source: return "forged_source";
        case Drop::unknown_index: return "unknown_index";
        case Drop::not_authentic: return "not_authentic";
        case Drop::replayed: return "replayed";
        case Drop::expired_session: return "expired_session";
        case Drop::bad_source: return "bad_source";
        case Drop::bad_destination: return "bad_destination";
        case Drop::bad_inner_packet: return "bad_inner_packet";
        case Drop::ip_from_joiner: return "ip_from_joiner";
        case Drop::waited_in_socket: return "waited_in_socket";
        case Drop::congested: return "congested";
        case Drop::bad_handshake: return "bad_handshake";
        case Drop::unknown_peer: return "unknown_peer";
        case Drop::stale_stamp: return "stale_stamp";
        case Drop::initiation_flood: return "initiation_flood";
        case Drop::rate_limited: return "rate_limited";
        case Drop::no_cookie: return "no_cookie";
        case Drop::bad_cookie: return "bad_cookie";
        case Drop::relay_refused: return "relay_refused";
        case Drop::no_route: return "no_route";
        case Drop::no_endpoint: return "no_endpoint";
        case Drop::underlay_loop: return "underlay_loop";
        case Drop::too_big: return "too_big";
        case Drop::waited_in_device: return "waited_in_device";
        case Drop::uplink_full: return "uplink_full";
        case Drop::path_mtu: return "path_mtu";
        case Drop::queue_full: return "queue_full";
        case Drop::handshake_gave_up: return "handshake_gave_up";
        case Drop::not_for_stock: return "not_for_stock";
        case Drop::control_queue_full: return "control_queue_full";
        case Drop::stranger_queue_full: return "stranger_queue_full";
        case Drop::socket_error: return "socket_error";
        case Drop::receive_buffer_full: return "receive_buffer_full";
        case Drop::truncated: return "truncated";
        case Drop::device_error: return "device_error";
        case Drop::count_: break;
    }
    return "unknown";
}

}  // namespace mesh
