#include "meshd/packet_lanes.hpp"

#include <algorithm>

#include "mesh/mss.hpp"
#include "net/packet.hpp"

namespace meshd {

namespace {

// A table and the time are taken once for so much, so that a removed peer's keys do not outlive a burst, and whoever
// shares the thread waits no longer than for that.
constexpr int kBurstPackets = 64;
constexpr std::size_t kBurstBytes = 60000;
constexpr int kBurstReceives = 2;

// How long bulk waits for a socket that is full before it is dropped. Voice does not wait: it would come too late.
constexpr auto kBulkPatience = std::chrono::milliseconds(100);
constexpr auto kVoicePatience = std::chrono::milliseconds(5);

constexpr std::size_t kOuterHeaderBytes4 = 20 + 8;  // IPv4 and UDP
constexpr std::size_t kOuterHeaderBytes6 = 40 + 8;
// What goes around a packet that the control thread sends, more or less: WireGuard twice, or once in TLS over TCP.
constexpr std::size_t kCarriedBytes = 2 * mesh::kMinDataBytes + kOuterHeaderBytes6;

net::Bytes joined(const tun::Segment& segment) {
    net::Bytes bytes(segment.bytes());
    std::copy(segment.payload.begin(), segment.payload.end(),
              std::copy(segment.header.begin(), segment.header.end(), bytes.begin()));
    return bytes;
}

bool is_voice(net::ByteView packet) {
    const auto header = net::parse_ip(packet);
    return header && net::is_voice(header->traffic_class);
}

}  // namespace

OutboundLane::OutboundLane(mesh::Lane lane, tun::Queue& queue, LaneSockets sockets, mesh::Uplink* uplink,
                           const CurrentTable& table, UpwardQueue& upward)
    : lane_(lane),
      queue_(queue),
      sockets_(sockets),
      table_(table),
      upward_(upward),
      uplink_(uplink),
      patience_(lane == mesh::Lane::voice ? kVoicePatience : kBulkPatience),
      wait_(lane, mesh::Drop::waited_in_device),
      packet_(tun::Queue::kBufferBytes) {
    if (uplink_ != nullptr) shaper_.emplace(uplink_->rate_bytes_per_s());
}

Turn OutboundLane::run(net::Steady now) {
    const auto table = table_.get();
    auto turn = Turn::more;
    std::size_t bytes = 0;
    TurnClock clock(now);
    for (int i = 0; i < kBurstPackets && bytes < kBurstBytes; ++i) {
        const auto received = queue_.read(packet_);
        if (!received) {
            wait_.found_empty();
            turn = Turn::idle;
            break;
        }
        bytes += received->size;
        const auto packet = net::MutableBytes(packet_).first(received->size);
        if (!table) continue;
        if (const auto& came = received->arrival) {
            if (!wait_.keeps(packet, clock.now() - came->at, came->bytes_behind, clock.now(), *table->drops)) continue;
            clock.worked(received->size);
        }
        if (const auto verdict = mesh::translate(*table, packet, received->offload.needs_checksum)) {
            const net::ByteView piece(packet);
            if (*verdict == mesh::Outbound::Verdict::device) queue_.write(received->offload, {&piece, 1});
            continue;
        }
        // Where the device has one queue, voice comes by it too, and does not wait either; unless it is more than voice
        // can be.
        const bool waits = shaper_ && !(is_voice(packet) && uplink_->admits_voice(packet.size(), now));
        waits ? this->queue(*table, received->offload, packet, now) : carry(*table, received->offload, packet, now);
    }
    if (!table) return turn;
    if (shaper_) drain(*table, now);
    flush(*table);
    return turn;
}

void OutboundLane::carry(const mesh::ForwardingTable& table, const tun::Offload& offload, net::MutableBytes packet,
                         net::Steady now) {
    const auto header = net::parse_ip(packet);
    if (!header) return table.drops->add(mesh::Drop::bad_inner_packet);
    const auto way = mesh::find_way(table, *header, now);
    if (way.verdict == mesh::Outbound::Verdict::drop || mesh::loops(table, way, *header, packet)) return;
    if (header->protocol == mesh::kTcp || header->source.is_v6()) {
        mesh::clamp_mss(packet, way.peer->mtu_bytes, offload.needs_checksum);
    }

    using Checksums = tun::Splitter::Checksums;
    auto segments = tun::Splitter::open(offload, packet, way.leaves_checksums ? Checksums::left : Checksums::complete);
    if (!segments) return table.drops->add(mesh::Drop::bad_inner_packet);
    if (!fits_path(table, *way.peer, packet, segments->largest_bytes(), now)) return;
    if (way.verdict == mesh::Outbound::Verdict::no_session) {
        return hand_up(table, way, *segments, header->traffic_class, now);
    }
    send(table, way, *segments, header->traffic_class, now);
}

bool OutboundLane::fits_path(const mesh::ForwardingTable& table, const mesh::ForwardingPeer& peer, net::ByteView packet,
                             std::size_t largest_bytes, net::Steady now) {
    if (largest_bytes <= peer.mtu_bytes || !mesh::is_too_big(packet, largest_bytes, peer.mtu_bytes)) return true;
    table.drops->add(mesh::Drop::path_mtu);
    auto reply = too_big_.reply(packet, peer.mtu_bytes, now);
    // To whoever sent it, by the addresses that it knows.
    if (table.subnet_map && !reply.empty() && !table.subnet_map->out_of_mesh(reply, mesh::SubnetMap::Checksum::complete)) return false;
    const net::ByteView piece(reply);
    if (!reply.empty()) queue_.write({}, {&piece, 1});
    return false;
}

void OutboundLane::send(const mesh::ForwardingTable& table, const mesh::Way& way, tun::Splitter& segments,
                        std::uint8_t traffic_class, net::Steady now) {
    constexpr auto kHeadroom = mesh::PacketBuffer::kHeadroomBytes;
    const auto room_bytes = kHeadroom + segments.largest_bytes() + mesh::PacketBuffer::kTailroomBytes;
    const unsigned queue = way.tells_queue ? mesh::queue_of(lane_) << mesh::kQueueShift : 0;
    const auto flags = static_cast<std::uint8_t>(queue | (segments.checksums_left() ? mesh::kChecksumLeft : 0U));
    const auto outer_class = net::outer_traffic_class(traffic_class, shown_);
    const auto outer_header = way.endpoint.address.is_v6() ? kOuterHeaderBytes6 : kOuterHeaderBytes4;
    const bool whole = way.peer->mtu_proven && segments.largest_bytes() <= way.peer->mtu_bytes;
    std::size_t total = 0, outer_headers = 0;
    while (const auto segment = segments.next()) {
        auto room = burst_.room(room_bytes);
        if (room.empty()) {
            flush(table);
            room = burst_.room(room_bytes);
        }
        auto* const end = std::copy(segment->header.begin(), segment->header.end(), room.data() + kHeadroom);
        std::copy(segment->payload.begin(), segment->payload.end(), end);
        const auto datagram = mesh::seal(table, way, {room, kHeadroom, segment->bytes()}, now, lane_, flags);
        if (datagram.empty()) {  // the session's last message went by just now
            table.drops->add(mesh::Drop::expired_session);
            continue;
        }
        burst_.add(way.endpoint, outer_class, datagram.size(), {.alone = !way.peer->trains, .whole = whole});
        total += datagram.size();
        outer_headers += outer_header;
    }
    if (total == 0) return;
    if (uplink_ != nullptr) uplink_->spend(total + outer_headers, now);
    if (mesh::sent(way, total, now)) upward_.tick();
}

void OutboundLane::queue(const mesh::ForwardingTable& table, const tun::Offload& offload, net::ByteView packet,
                         net::Steady now) {
    // Checksums are completed: by the time that the packet leaves its way may be another.
    auto segments = tun::Splitter::open(offload, packet, tun::Splitter::Checksums::complete);
    if (!segments) return table.drops->add(mesh::Drop::bad_inner_packet);
    // Before it waits: its sender shall not go on filling the queue with what is dropped at its end.
    const auto header = net::parse_ip(packet);
    const auto* const peer = header ? table.route(header->destination) : nullptr;
    if (peer != nullptr && !fits_path(table, *peer, packet, segments->largest_bytes(), now)) return;
    while (const auto segment = segments->next()) {
        if (!shaper_->push({joined(*segment), now})) table.drops->add(mesh::Drop::uplink_full);
    }
}

void OutboundLane::drain(const mesh::ForwardingTable& table, net::Steady now) {
    std::uint64_t dropped = 0;
    while (uplink_->open_at(now) <= now) {
        auto packet = shaper_->pop(now, dropped);
        if (!packet) break;
        carry(table, {}, packet->bytes, now);
    }
    if (dropped != 0) table.drops->add(mesh::Drop::uplink_full, dropped);
}

net::Steady OutboundLane::next_deadline(net::Steady now) {
    return shaper_ && !shaper_->empty() ? uplink_->open_at(now) : net::kNever;
}

void OutboundLane::hand_up(const mesh::ForwardingTable& table, const mesh::Way& way, tun::Splitter& segments,
                           std::uint8_t traffic_class, net::Steady now) {
    std::size_t total = 0;
    while (const auto segment = segments.next()) {
        upward_.packet({way.peer->key, joined(*segment), way.carried(), net::is_voice(traffic_class)}, *table.drops);
        total += segment->bytes() + kCarriedBytes;
    }
    if (way.carried() && uplink_ != nullptr) uplink_->spend(total, now);
}

void OutboundLane::share_thread_with_voice() { patience_ = kVoicePatience; }

void OutboundLane::flush(const mesh::ForwardingTable& table) {
    if (burst_.empty()) return;
    const auto lost = burst_.send(sockets_.v4, sockets_.v6, patience_);
    if (lost != 0) table.drops->add(mesh::Drop::socket_error, lost);
}

InboundLane::InboundLane(mesh::Lane lane, loop::Datagram& socket, std::size_t buffers, tun::Queue& queue,
                         tun::Coalescer::Settings coalescing, const CurrentTable& table, UpwardQueue& upward)
    : lane_(lane),
      socket_(socket),
      queue_(queue),
      table_(table),
      upward_(upward),
      wait_(lane, mesh::Drop::waited_in_socket),
      burst_(buffers),
      coalescer_(coalescing),
      tcp_(coalescing.tcp),
      udp_(coalescing.udp) {}

Turn InboundLane::run(net::Steady now) {
    const auto table = table_.get();
    coalescer_.set(tcp_.load(std::memory_order_relaxed), udp_.load(std::memory_order_relaxed));
    TurnClock clock(now);
    for (int i = 0; i < kBurstReceives; ++i) {
        const auto items = burst_.receive(socket_);
        if (items.empty()) {
            wait_.found_empty();
            while (const auto error = socket_.take_error()) {
                // Told so that poll() does not return for it for ever. Who is unreachable, the timers find out: ICMP
                // may be forged. What is too big is looked into.
                const bool too_big = error->reason == loop::Undelivered::Reason::too_big && error->mtu_bytes != 0;
                if (too_big) upward_.too_big({error->to, error->mtu_bytes}, now);
            }
            return Turn::idle;
        }
        if (!table) continue;
        count_lost(*table);
        const auto refused = queue_.refused();
        carry_all(*table, items, now, clock);
        coalescer_.flush(queue_);
        if (const auto more = queue_.refused() - refused) {
            table->drops->add(mesh::Drop::device_error, more);
            give_up_what_is_refused();
        }
    }
    return Turn::more;
}

void InboundLane::give_up_what_is_refused() {
    if (queue_.refused_tcp() >= most_refused_tcp_.load(std::memory_order_relaxed)) tcp_.store(false, std::memory_order_relaxed);
    if (queue_.refused_udp() >= most_refused_udp_.load(std::memory_order_relaxed)) udp_.store(false, std::memory_order_relaxed);
}

void InboundLane::count_lost(const mesh::ForwardingTable& table) {
    const auto overflowed = burst_.overflowed(), truncated = burst_.truncated();
    if (overflowed != overflowed_) table.drops->add(mesh::Drop::receive_buffer_full, overflowed - overflowed_);
    if (truncated != truncated_) table.drops->add(mesh::Drop::truncated, truncated - truncated_);
    overflowed_ = overflowed;
    truncated_ = truncated;
}

void InboundLane::carry_all(const mesh::ForwardingTable& table, std::span<const loop::ReceiveBurst::Item> items,
                            net::Steady now, TurnClock& clock) {
    const auto began = clock.now();
    // Asked once, and only where it matters what else is there.
    std::size_t behind = items.front().waited < mesh::Codel::kTarget ? 0 : socket_.next_bytes();
    for (const auto& item : items) behind += item.bytes.size();
    for (const auto& item : items) {
        carry(table, item, {item.waited + (clock.now() - began), behind, clock.now()}, now);
        behind -= item.bytes.size();
        clock.worked(item.bytes.size());
    }
}

void InboundLane::carry(const mesh::ForwardingTable& table, const loop::ReceiveBurst::Item& item, Waiting waiting,
                        net::Steady now) {
    if (mesh::is_virtual(item.from)) return table.drops->add(mesh::Drop::forged_source);
    for (std::size_t at = 0; at < item.bytes.size(); at += item.segment_bytes) {
        const auto datagram = item.bytes.subspan(at, std::min(item.segment_bytes, item.bytes.size() - at));
        waiting.bytes_behind -= datagram.size();
        const auto result = mesh::inbound(table, datagram, item.from, now, lane_);
        if (result.wake) upward_.tick();
        switch (result.verdict) {
            case mesh::Inbound::Verdict::tun:
                to_device(table, result, item.traffic_class, waiting);
                break;
            case mesh::Inbound::Verdict::control:
                upward_.frame({result.peer, net::copy(result.bytes), item.from}, *table.drops);
                break;
            case mesh::Inbound::Verdict::handshake:
                upward_.handshake({net::copy(result.bytes), item.from}, *table.drops, now);
                break;
            case mesh::Inbound::Verdict::nothing:
            case mesh::Inbound::Verdict::drop: break;
        }
    }
}

void InboundLane::to_device(const mesh::ForwardingTable& table, const mesh::Inbound& received,
                            std::uint8_t outer_traffic_class, const Waiting& waiting) {
    const auto packet = received.bytes;
    if (!wait_.keeps(packet, waiting.waited, waiting.bytes_behind, waiting.now, *table.drops)) return;
    const auto outer = net::ecn_of(outer_traffic_class);
    if (outer == net::Ecn::ce || outer == net::Ecn::ect1) {
        const auto inner = net::ecn_of(net::traffic_class_of(packet));
        const auto ecn = net::inner_ecn(inner, outer);
        if (!ecn) return table.drops->add(mesh::Drop::congested);
        if (*ecn != inner) net::set_ecn(packet, *ecn);
    }
    mesh::clamp_mss(packet, received.mtu_bytes, received.checksum_left);
    coalescer_.add(packet, received.checksum_left, queue_);
}

}  // namespace meshd
