#include "tun/coalesce.hpp"

#include <algorithm>

#include "tun/headers.hpp"

namespace tun {
namespace {

constexpr std::size_t kLargestPacketBytes = 65535;
constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint8_t kEnding = kFin | kPsh;

std::uint32_t hash(std::uint32_t value, std::uint32_t more) {
    return (value ^ more) * 0x9e3779b1U;
}

bool same(net::ByteView one, net::ByteView other, std::size_t from, std::size_t to) {
    return std::memcmp(one.data() + from, other.data() + from, to - from) == 0;
}

/// A packet alone. If its checksum was left out, the kernel is asked for it: the field's content is not trusted.
void write_alone(net::MutableBytes packet, const Headers& headers, bool checksum_left, PacketSink& sink) {
    Offload offload;
    if (checksum_left && headers.has_checksum()) {
        offload.needs_checksum = true;
        offload.checksum_start = static_cast<std::uint16_t>(headers.ip_bytes);
        offload.checksum_offset = static_cast<std::uint16_t>(headers.checksum_offset());
        const auto sum = headers.pseudo_header(packet, headers.transport_bytes());
        store16(packet, headers.ip_bytes + headers.checksum_offset(), net::checksum_fold(sum));
    }
    const net::ByteView piece = packet;
    sink.write(offload, {&piece, 1});
}

}  // namespace

struct Coalescer::Candidate {
    Candidate(net::MutableBytes bytes, const Headers& found, bool left)
        : packet(bytes), headers(found), checksum_left(left), tcp(found.protocol == kTcp) {
        flow = headers.protocol;
        for (std::size_t i = 0; i < headers.addresses_bytes(); i += 4) {
            flow = hash(flow, load32(packet, headers.addresses_at() + i));
        }
        flow = hash(flow, load32(packet, headers.ip_bytes));
    }

    std::size_t payload_bytes() const { return headers.total_bytes - headers.header_bytes; }
    net::ByteView payload() const { return packet.subspan(headers.header_bytes); }
    std::uint8_t tcp_flags() const { return load8(packet, headers.ip_bytes + kTcpFlagsAt); }

    /// It may be in a superpacket as far as its headers say, whatever the others are like.
    bool may_join() const {
        if (payload_bytes() == 0) return false;
        if (!headers.v6 && (load16(packet, 6) & ~kDontFragment) != 0) return false;  // RFC 791's reserved bit
        if (tcp) return (tcp_flags() & (kSyn | kRst | kUrg)) == 0;
        return checksum_left || load16(packet, headers.ip_bytes + kUdpChecksumAt) != 0;
    }

    bool checksums_right() const {
        // All ones is the other way to write zero. It adds up, but the segments would get zero (UDP's the reverse).
        if (!headers.v6) {
            const auto header = packet.first(headers.ip_bytes);
            if (load16(header, 10) == 0xffff || net::checksum_fold(net::checksum_add(header)) != 0xffff) return false;
        }
        if (checksum_left) return true;
        const auto transport = packet.subspan(headers.ip_bytes);
        if (tcp && load16(transport, kTcpChecksumAt) == 0xffff) return false;
        const auto pseudo = headers.pseudo_header(packet, headers.transport_bytes());
        return net::checksum_fold(net::checksum_add(transport, pseudo)) == 0xffff;
    }

    net::MutableBytes packet;
    const Headers& headers;
    bool checksum_left;
    bool tcp;
    std::uint32_t flow;
};

Coalescer::Coalescer(const Settings& settings) : settings_(settings) {
    settings_.max_bytes = std::min(settings_.max_bytes, kLargestPacketBytes);
    groups_.resize(std::max<std::size_t>(1, settings_.max_groups));
    for (auto& group : groups_) group.pieces.reserve(kMaxPieces);
}

void Coalescer::add(net::MutableBytes bytes, bool checksum_left, PacketSink& sink) {
    const auto headers = find_headers(bytes);
    if (!headers) {  // no IP packet; whether it is good for anything is the kernel's to say
        const net::ByteView piece = bytes;
        return sink.write({}, {&piece, 1});
    }
    bytes = bytes.first(headers->total_bytes);
    if (!headers->has_checksum()) {
        flush_between(bytes, headers->v6, sink);
        return write_alone(bytes, *headers, checksum_left, sink);
    }
    const Candidate packet(bytes, *headers, checksum_left);
    auto* const group = group_of(packet);
    const bool may_join = packet.may_join() && (packet.tcp ? settings_.tcp : settings_.udp);
    if (group != nullptr) {
        const auto fits = may_join ? fit(*group, packet) : Fit::no;
        if (fits != Fit::no) {
            group->pieces.push_back(packet.payload());
            group->total_bytes += packet.payload_bytes();
            if (packet.tcp) group->ending = packet.tcp_flags() & kEnding;
            if (fits == Fit::last) write_and_remove(*group, sink);
            return;
        }
        write_and_remove(*group, sink);
    }
    const bool alone = !may_join || (packet.tcp && (packet.tcp_flags() & kEnding) != 0);
    if (alone) return write_alone(bytes, *headers, checksum_left, sink);
    start(packet, sink);
}

void Coalescer::flush(PacketSink& sink) {
    for (std::size_t i = 0; i < used_; ++i) write(groups_[i], sink);
    used_ = 0;
}

Coalescer::Group* Coalescer::group_of(const Candidate& packet) {
    const auto& headers = packet.headers;
    for (auto& group : std::span(groups_).first(used_)) {
        if (group.flow != packet.flow || group.v6 != headers.v6 || group.tcp != packet.tcp) continue;
        const auto from = headers.addresses_at();
        // The ports follow the addresses: there is no option between them.
        if (same(group.head, packet.packet, from, headers.ip_bytes + 4)) return &group;
    }
    return nullptr;
}

Coalescer::Fit Coalescer::fit(Group& group, const Candidate& packet) const {
    const net::ByteView head = group.head, bytes = packet.packet;
    const std::size_t ip = group.ip_bytes, count = group.pieces.size();
    const std::size_t segment_bytes = head.size() - group.header_bytes, payload_bytes = packet.payload_bytes();
    if (group.header_bytes != packet.headers.header_bytes || payload_bytes > segment_bytes ||
        group.total_bytes + payload_bytes > settings_.max_bytes) {
        return Fit::no;
    }
    bool same_id = false;
    if (group.v6) {
        // Version, traffic class, flow label; next header, hop limit.
        if (!same(head, bytes, 0, 4) || !same(head, bytes, 6, 8)) return Fit::no;
    } else {
        // Traffic class; DF; TTL, protocol.
        if (!same(head, bytes, 0, 2) || !same(head, bytes, 6, 10)) return Fit::no;
        const auto ahead = static_cast<std::uint16_t>(load16(bytes, 4) - load16(head, 4));
        same_id = ahead == 0;
        if (same_id && (load16(head, 6) & kDontFragment) == 0) return Fit::no;
        if (!same_id && ahead != count) return Fit::no;
        if (count > 1 && same_id != group.same_id) return Fit::no;
    }
    if (group.tcp) {
        const auto flags = packet.tcp_flags(), head_flags = load8(head, ip + kTcpFlagsAt);
        if ((flags & kCwr) != 0 || ((flags ^ head_flags) & ~(kEnding | kCwr)) != 0) return Fit::no;
        if (load32(bytes, ip + 4) != static_cast<std::uint32_t>(load32(head, ip + 4) + count * segment_bytes))
            return Fit::no;
        // Acknowledgement, header length; window; urgent pointer, options.
        if (!same(head, bytes, ip + 8, ip + 13) || !same(head, bytes, ip + 14, ip + 16) ||
            !same(head, bytes, ip + 18, group.header_bytes)) {
            return Fit::no;
        }
    }
    if (!packet.checksums_right()) return Fit::no;
    // Asked only now, because most packets that are alone stay so.
    if (!group.checked) {
        const auto headers = find_headers(head);
        if (!headers || !Candidate(group.head, *headers, group.checksum_left).checksums_right()) return Fit::no;
        group.checked = true;
    }
    group.same_id = same_id;
    const bool ends = payload_bytes < segment_bytes || (group.tcp && (packet.tcp_flags() & kEnding) != 0) ||
                      count + 1 == kMaxPieces || group.total_bytes + payload_bytes + 1 > settings_.max_bytes;
    return ends ? Fit::last : Fit::more;
}

void Coalescer::start(const Candidate& packet, PacketSink& sink) {
    if (used_ == groups_.size()) write_and_remove(groups_.front(), sink);
    auto& group = groups_[used_++];
    group.head = packet.packet;
    group.flow = packet.flow;
    group.v6 = packet.headers.v6;
    group.tcp = packet.tcp;
    group.checksum_left = packet.checksum_left;
    group.checked = false;
    group.same_id = false;
    group.ip_bytes = packet.headers.ip_bytes;
    group.header_bytes = packet.headers.header_bytes;
    group.total_bytes = packet.packet.size();
    group.pieces.assign(1, packet.packet);
}

void Coalescer::write(Group& group, PacketSink& sink) {
    const auto head = group.head;
    const auto headers = find_headers(head);
    if (!headers) return;  // cannot be: it was found when the group began
    if (group.pieces.size() == 1) return write_alone(head, *headers, group.checksum_left, sink);

    Offload offload;
    offload.needs_checksum = true;
    offload.segment_bytes = static_cast<std::uint16_t>(head.size() - group.header_bytes);
    offload.header_bytes = static_cast<std::uint16_t>(group.header_bytes);
    offload.checksum_start = static_cast<std::uint16_t>(group.ip_bytes);
    offload.checksum_offset = static_cast<std::uint16_t>(headers->checksum_offset());
    if (group.v6) {
        store16(head, 4, group.total_bytes - group.ip_bytes);
    } else {
        store16(head, 2, group.total_bytes);
        store16(head, 10, 0);
        store16(head, 10, net::checksum_finish(net::checksum_add(head.first(group.ip_bytes))));
    }
    const std::size_t transport_bytes = group.total_bytes - group.ip_bytes;
    if (group.tcp) {
        offload.gso = group.v6 ? Gso::tcp6 : Gso::tcp4;
        auto& flags = head[group.ip_bytes + kTcpFlagsAt];
        offload.ecn = (std::to_integer<unsigned>(flags) & kCwr) != 0;
        flags |= static_cast<std::byte>(group.ending);
    } else {
        offload.gso = Gso::udp;
        store16(head, group.ip_bytes + 4, transport_bytes);
    }
    const auto sum = headers->pseudo_header(head, transport_bytes);
    store16(head, group.ip_bytes + headers->checksum_offset(), net::checksum_fold(sum));
    sink.write(offload, group.pieces);
}

void Coalescer::write_and_remove(Group& group, PacketSink& sink) {
    write(group, sink);
    std::swap(group, groups_[--used_]);
}

void Coalescer::flush_between(const net::MutableBytes& packet, bool v6, PacketSink& sink) {
    for (std::size_t i = used_; i-- > 0;) {
        auto& group = groups_[i];
        const std::size_t from = v6 ? 8 : 12, to = v6 ? 40 : 20;
        if (group.v6 == v6 && same(group.head, packet, from, to)) write_and_remove(group, sink);
    }
}

}  // namespace tun
