#include "mesh/data_path.hpp"

#include <algorithm>

#include "mesh/control_frame.hpp"
#include "mesh/cookie.hpp"
#include "mesh/introduction.hpp"

namespace mesh {

namespace {

// Control frames wait for the control thread in a queue that counts them: none may be larger than any that is sent
// (control_frame.hpp), padding included. What probes the path is larger, and loses its padding first; what is passed on for
// others is as large as a packet.
constexpr std::size_t kMaxControlBytes = 1280;

template <class Result>
Result drop(const ForwardingTable& table, Drop reason, bool wake = false) {
    table.drops->add(reason);
    Result result;
    result.verdict = decltype(result.verdict)::drop;
    result.reason = reason;
    if constexpr (requires { result.wake; }) result.wake = wake;
    return result;
}

Inbound hand_up(net::MutableBytes datagram) {
    Inbound result;
    result.verdict = Inbound::Verdict::handshake;
    result.bytes = datagram;
    return result;
}

// Section 5.4: the type and its length decide what a datagram is.
std::optional<MessageType> type_of(net::ByteView datagram) {
    net::Reader reader(datagram);
    const auto type = reader.u32le();
    if (!reader.ok()) return std::nullopt;
    constexpr auto kAesData = static_cast<std::uint32_t>(MessageType::aes_data);
    constexpr auto kAesFlags = std::uint32_t{kChecksumLeft | kQueueMask} << 8;
    switch ((type & ~kAesFlags) == kAesData ? kAesData : type) {
        case 1: return datagram.size() == kInitiationBytes ? std::optional(MessageType::initiation) : std::nullopt;
        case 2: return datagram.size() == kResponseBytes ? std::optional(MessageType::response) : std::nullopt;
        case 3: return datagram.size() == kCookieReplyBytes ? std::optional(MessageType::cookie_reply) : std::nullopt;
        case 4: return datagram.size() >= kMinDataBytes ? std::optional(MessageType::data) : std::nullopt;
        case kAesData:
            return datagram.size() >= kMinDataBytes ? std::optional(MessageType::aes_data) : std::nullopt;
        default: return std::nullopt;
    }
}

std::uint32_t index_at(net::ByteView datagram, std::size_t at) { return net::Reader(datagram.subspan(at, 4)).u32le(); }

// What a decrypted payload is, and whether its peer may send it.
Inbound judge_payload(const ForwardingTable& table, ForwardingTable::Slot slot, net::MutableBytes payload, bool wake,
                      bool checksum_left) {
    const auto& peer = *table.peers[slot];
    Inbound result;
    result.wake = wake;
    result.peer = peer.key;
    if (payload.empty()) {
        result.verdict = Inbound::Verdict::nothing;
        return result;
    }
    const auto version = std::to_integer<unsigned>(payload[0]) >> 4;
    if (version != 4 && version != 6) {
        const auto probe = probe_in(payload);
        result.bytes = probe.empty() ? payload : probe;
        const bool too_large = result.bytes.size() > kMaxControlBytes && !is_relayed(result.bytes);
        if (peer.stock || too_large) return drop<Inbound>(table, Drop::bad_inner_packet, wake);
        result.verdict = Inbound::Verdict::control;
        return result;
    }
    if (!peer.carries_ip) return drop<Inbound>(table, Drop::ip_from_joiner, wake);
    const auto header = net::parse_ip(payload);
    if (!header) return drop<Inbound>(table, Drop::bad_inner_packet, wake);
    if (!table.may_send_from(slot, header->source)) return drop<Inbound>(table, Drop::bad_source, wake);
    if (table.destinations && !table.destinations->take(header->destination)) return drop<Inbound>(table, Drop::bad_destination, wake);
    result.verdict = Inbound::Verdict::tun;
    result.mtu_bytes = peer.mtu_bytes;
    result.bytes = payload.first(header->total_bytes);
    result.checksum_left = checksum_left;
    if (table.subnet_map) {
        using Checksum = SubnetMap::Checksum;
        if (!table.subnet_map->out_of_mesh(result.bytes, checksum_left ? Checksum::left : Checksum::complete))
            return drop<Inbound>(table, Drop::bad_inner_packet, wake);
    }
    return result;
}

Inbound receive_data(const ForwardingTable& table, net::MutableBytes datagram, const net::Endpoint& from,
                     net::Steady now, Lane lane) {
    const auto found = table.receivers.find(index_at(datagram, 4));
    if (found == table.receivers.end()) return drop<Inbound>(table, Drop::unknown_index);
    auto& session = *found->second.session;
    if (const auto reason = session.open(datagram, now, lane)) return drop<Inbound>(table, *reason);

    const auto& peer = *table.peers[found->second.slot];
    const auto payload = datagram.subspan(kDataHeaderBytes, datagram.size() - kMinDataBytes);
    bool wake = peer.activity->received(now, datagram.size(), !payload.empty());
    if (from != peer.endpoint || (peer.stock && peer.activity->moves() != peer.moves)) {
        wake |= peer.activity->seen_from(from, now);
    }
    if (session.wants_rekey_after_receiving(now)) wake |= peer.activity->want_rekey(now);
    if (!session.confirmed()) {
        peer.activity->confirmed_from(from);  // first, so that whoever sees the session confirmed sees this too
        if (session.confirm()) {
            (void)peer.activity->look_by(now);
            wake = true;
        }
    }
    // Authentic by now. Type 4 has a zero there.
    const bool checksum_left = (std::to_integer<std::uint8_t>(datagram[1]) & kChecksumLeft) != 0;
    return judge_payload(table, found->second.slot, payload, wake, checksum_left);
}

// The answer to the packet that confirmed a session may come before the control thread has a new table out. The peer
// may have forgotten the session before, so this one must be used at once.
Session* session_to_send_with(const ForwardingPeer& peer) {
    return peer.next && peer.next->confirmed() ? peer.next.get() : peer.session.get();
}

// As above: the packet to answer came from elsewhere than the table says. A stock peer is followed at once; where a
// member's new session is confirmed from elsewhere, the control thread decides (none is returned).
net::Endpoint endpoint_to_send_to(const ForwardingPeer& peer, const Session* session) {
    if (peer.stock && peer.activity->moves() != peer.moves) return peer.activity->last_seen_from();
    if (session != peer.session.get() && peer.activity->confirmed_from() != peer.endpoint) return {};
    return peer.endpoint;
}

bool fits(const Way& way, const PacketBuffer& packet) {
    return packet.offset >= kDataHeaderBytes &&
           packet.storage.size() - packet.offset >= padded_bytes(packet.size, way.peer->mtu_bytes) + kTagBytes;
}

}  // namespace

Way find_way(const ForwardingTable& table, const net::IpHeader& header, net::Steady now) {
    Way way;
    way.peer = table.route(header.destination);
    if (way.peer == nullptr) return drop<Way>(table, Drop::no_route);

    way.verdict = Outbound::Verdict::no_session;
    auto* const session = session_to_send_with(*way.peer);
    if (session == nullptr || !session->usable(now)) return way;
    way.endpoint = endpoint_to_send_to(*way.peer, session);
    if (way.endpoint.is_none() || is_virtual(way.endpoint)) return way;
    if (table.in_overlay(way.endpoint.address)) return drop<Way>(table, Drop::underlay_loop);
    way.session = session;
    way.leaves_checksums = session->sends_aes();
    way.tells_queue = session->sends_queues();
    way.verdict = Outbound::Verdict::send;
    return way;
}

net::ByteView seal(const ForwardingTable& table, const Way& way, PacketBuffer packet, net::Steady now, Lane lane,
                   std::uint8_t flags) {
    if (!fits(way, packet)) {
        table.drops->add(Drop::too_big);
        return {};
    }
    const auto padded = padded_bytes(packet.size, way.peer->mtu_bytes);
    const auto padding = packet.storage.subspan(packet.offset + packet.size, padded - packet.size);
    std::fill(padding.begin(), padding.end(), std::byte{0});
    const auto message = packet.storage.subspan(packet.offset - kDataHeaderBytes, kMinDataBytes + padded);
    if (!way.session->seal(message, now, lane, flags)) return {};
    return message;
}

bool sent(const Way& way, std::size_t bytes, net::Steady now) {
    bool wake = way.peer->activity->sent(now, bytes, true);
    if (way.session->wants_rekey_after_sending(now)) wake |= way.peer->activity->want_rekey(now);
    return wake;
}

bool loops(const ForwardingTable& table, const Way& way, const net::IpHeader& header, net::ByteView packet) {
    constexpr std::uint8_t kUdp = 17;
    if (way.peer == nullptr || !way.peer->exit || !table.in_overlay(header.source)) return false;
    const auto transport = net::find_transport(packet);
    if (!transport || transport->protocol != kUdp || !transport->first) return false;
    const auto port = net::Reader(packet.subspan(transport->at + 2)).u16be();
    if (!table.is_endpoint(header.destination, port)) return false;
    table.drops->add(Drop::underlay_loop);
    return true;
}

std::optional<Outbound::Verdict> translate(const ForwardingTable& table, net::MutableBytes packet, bool partial) {
    if (!table.subnet_map) return std::nullopt;
    const auto header = net::parse_ip(packet);
    if (!header) return std::nullopt;
    const auto checksum = partial ? SubnetMap::Checksum::partial : SubnetMap::Checksum::complete;
    const bool comes_back = table.subnet_map->is_ours(header->destination);
    if (!table.subnet_map->into_mesh(packet, checksum) ||
        (comes_back && !table.subnet_map->out_of_mesh(packet, checksum))) {
        table.drops->add(Drop::bad_inner_packet);
        return Outbound::Verdict::drop;
    }
    return comes_back ? std::optional(Outbound::Verdict::device) : std::nullopt;
}

Outbound outbound(const ForwardingTable& table, PacketBuffer packet, net::Steady now) {
    if (const auto verdict = translate(table, packet.packet(), false)) {
        Outbound result;
        result.verdict = *verdict;
        result.reason = Drop::bad_inner_packet;
        if (*verdict == Outbound::Verdict::device) result.bytes = packet.packet();
        return result;
    }
    const auto header = net::parse_ip(packet.packet());
    if (!header) return drop<Outbound>(table, Drop::bad_inner_packet);
    const auto way = find_way(table, *header, now);
    Outbound result;
    result.verdict = way.verdict;
    result.reason = way.reason;
    if (way.peer != nullptr) result.peer = way.peer->key;
    if (loops(table, way, *header, packet.packet())) {
        result.verdict = Outbound::Verdict::drop;
        result.reason = Drop::underlay_loop;
    }
    result.endpoint = way.endpoint;
    if (way.verdict != Outbound::Verdict::send) return result;
    if (!fits(way, packet)) return drop<Outbound>(table, Drop::too_big);
    result.bytes = seal(table, way, packet, now);
    if (result.bytes.empty()) {
        result.endpoint = {};
        result.verdict = Outbound::Verdict::no_session;  // its last message went by just now; the packet is untouched
        return result;
    }
    result.wake = sent(way, result.bytes.size(), now);
    return result;
}

bool can_be_for_us(const ForwardingTable& table, net::ByteView datagram) {
    if (is_introduction(datagram)) return mac1_valid(datagram, table.mac1_key);
    const auto type = type_of(datagram);
    if (!type) return false;
    switch (*type) {
        case MessageType::data:
        case MessageType::aes_data: return table.receivers.contains(index_at(datagram, 4));
        case MessageType::initiation: return mac1_valid(datagram, table.mac1_key);
        case MessageType::response: return mac1_valid(datagram, table.mac1_key) && table.awaits(index_at(datagram, 8));
        case MessageType::cookie_reply: return table.awaits(index_at(datagram, 4));
    }
    return false;
}

Inbound inbound(const ForwardingTable& table, net::MutableBytes datagram, const net::Endpoint& from, net::Steady now,
                Lane lane) {
    if (is_introduction(datagram)) {
        if (!mac1_valid(datagram, table.mac1_key)) return drop<Inbound>(table, Drop::bad_mac1);
        return hand_up(datagram);
    }
    const auto type = type_of(datagram);
    if (!type) return drop<Inbound>(table, Drop::malformed_datagram);
    switch (*type) {
        case MessageType::data:
        case MessageType::aes_data: return receive_data(table, datagram, from, now, lane);
        case MessageType::initiation:
        case MessageType::response:
            if (!mac1_valid(datagram, table.mac1_key)) return drop<Inbound>(table, Drop::bad_mac1);
            if (*type == MessageType::response && !table.awaits(index_at(datagram, 8))) {
                return drop<Inbound>(table, Drop::unknown_index);
            }
            break;
        case MessageType::cookie_reply:  // has no mac1; it is sealed under the one of the message it answers
            if (!table.awaits(index_at(datagram, 4))) return drop<Inbound>(table, Drop::unknown_index);
            break;
    }
    return hand_up(datagram);
}

}  // namespace mesh
