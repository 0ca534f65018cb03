#include "tun/split.hpp"

#include "tun/headers.hpp"

namespace tun {
namespace {

/// A computed zero means "no checksum" in UDP and is sent as its other representation (RFC 768).
std::uint16_t never_zero(std::uint16_t checksum) {
    return checksum == 0 ? 0xffff : checksum;
}

bool agree(const Offload& offload, const Headers& headers) {
    switch (offload.gso) {
        case Gso::none:
            break;
        case Gso::tcp4:
            if (headers.v6 || headers.protocol != kTcp) return false;
            break;
        case Gso::tcp6:
            if (!headers.v6 || headers.protocol != kTcp) return false;
            break;
        case Gso::udp:
            if (headers.protocol != kUdp) return false;
            break;
    }
    return !offload.needs_checksum ||
           (offload.checksum_start == headers.ip_bytes && offload.checksum_offset == headers.checksum_offset());
}

}  // namespace

std::optional<Splitter> Splitter::open(const Offload& offload, net::ByteView packet, Checksums checksums) {
    Splitter out;
    if (offload.gso == Gso::none && !offload.needs_checksum) {
        out.keep(packet);
        return out;
    }
    const auto headers = find_headers(packet);
    if (headers) packet = packet.first(headers->total_bytes);
    const bool agreed = headers && headers->header_bytes != 0 && agree(offload, *headers);
    out.left_ = checksums == Checksums::left && agreed && headers->plain;
    if (offload.gso == Gso::none) {
        if (out.left_) {
            out.keep(packet);
            return out;
        }
        if (!out.complete_one(offload, packet)) return std::nullopt;
        return out;
    }
    if (!agreed) return std::nullopt;
    out.kind_ = headers->protocol == kTcp ? Kind::tcp : Kind::udp;
    out.v6_ = headers->v6;
    out.ip_bytes_ = headers->ip_bytes;
    out.header_bytes_ = headers->header_bytes;
    if (!out.start_segments(offload, packet)) return std::nullopt;
    return out;
}

void Splitter::keep(net::ByteView packet) {
    payload_ = packet;
    segment_bytes_ = packet.size();
}

/// Any protocol: the kernel says what is to be summed and where the result belongs.
bool Splitter::complete_one(const Offload& offload, net::ByteView packet) {
    const std::size_t start = offload.checksum_start, field = start + offload.checksum_offset;
    if (field + 2 > std::min(packet.size(), kMaxHeaderBytes)) return false;
    header_bytes_ = field + 2;
    std::copy_n(packet.begin(), header_bytes_, header_.begin());
    store16(header_, field, never_zero(net::checksum_finish(net::checksum_add(packet.subspan(start)))));
    kind_ = Kind::completed;
    payload_ = packet.subspan(header_bytes_);
    segment_bytes_ = payload_.size();
    return true;
}

bool Splitter::start_segments(const Offload& offload, net::ByteView packet) {
    if (offload.segment_bytes == 0 || header_bytes_ > kMaxHeaderBytes) return false;
    segment_bytes_ = offload.segment_bytes;
    payload_ = packet.subspan(header_bytes_);
    segments_ = std::max<std::size_t>(1, (payload_.size() + segment_bytes_ - 1) / segment_bytes_);
    std::copy_n(packet.begin(), header_bytes_, header_.begin());
    const auto header = net::MutableBytes(header_).first(header_bytes_);
    if (!v6_) {
        id_ = load16(header, 4);
        store16(header, 2, 0);
        store16(header, 4, 0);
        store16(header, 10, 0);
        ip_sum_ = net::checksum_add(header.first(ip_bytes_));
    }
    const auto transport = header.subspan(ip_bytes_);
    const std::size_t transport_bytes = packet.size() - ip_bytes_;
    const std::size_t field = kind_ == Kind::tcp ? kTcpChecksumAt : kUdpChecksumAt;
    if (offload.needs_checksum) {
        // What the kernel summed, because with source routing the header's destination is not the last one; without the
        // length, which is subtracted by adding its complement.
        transport_sum_ = std::uint64_t{load16(transport, field)} + (0xffff - transport_bytes % 0xffff);
    } else {
        const auto addresses = v6_ ? header.subspan(8, 32) : header.subspan(12, 8);
        transport_sum_ = net::checksum_pseudo_header(addresses, kind_ == Kind::tcp ? kTcp : kUdp, 0);
    }
    store16(transport, field, 0);
    if (kind_ == Kind::tcp) {
        sequence_ = load32(transport, 4);
        flags_ = load8(transport, kTcpFlagsAt);
        store32(transport, 4, 0);
        transport[kTcpFlagsAt] = {};
    } else {
        store16(transport, 4, 0);
    }
    if (!left_) transport_sum_ = net::checksum_add(transport, transport_sum_);
    return true;
}

std::optional<Segment> Splitter::next() {
    if (done_ == segments_) return std::nullopt;
    if (kind_ == Kind::as_it_is || kind_ == Kind::completed) {
        ++done_;
        if (kind_ == Kind::as_it_is) return Segment{payload_, {}};
        return Segment{net::ByteView(header_).first(header_bytes_), payload_};
    }
    const std::size_t from = done_ * segment_bytes_;
    const auto payload = payload_.subspan(from, std::min(segment_bytes_, payload_.size() - from));
    write_ip(payload.size());
    if (kind_ == Kind::tcp) {
        write_tcp(done_ == 0, done_ + 1 == segments_, payload);
    } else {
        write_udp(payload);
    }
    ++done_;
    return Segment{net::ByteView(header_).first(header_bytes_), payload};
}

void Splitter::write_ip(std::size_t payload_bytes) {
    const net::MutableBytes header(header_);
    if (v6_) return store16(header, 4, header_bytes_ - 40 + payload_bytes);
    const std::size_t total = header_bytes_ + payload_bytes, id = (id_ + done_) & 0xffff;
    store16(header, 2, total);
    store16(header, 4, id);
    store16(header, 10, net::checksum_finish(ip_sum_ + total + id));
}

void Splitter::write_tcp(bool first, bool last, net::ByteView payload) {
    const auto transport = net::MutableBytes(header_).subspan(ip_bytes_);
    const auto sequence = static_cast<std::uint32_t>(sequence_ + done_ * segment_bytes_);
    auto flags = flags_;
    if (!first) flags = static_cast<std::uint8_t>(flags & ~kCwr);  // answers one ECE, once (RFC 3168 section 6.1.2)
    if (!last) flags = static_cast<std::uint8_t>(flags & ~(kFin | kPsh));
    store32(transport, 4, sequence);
    transport[kTcpFlagsAt] = static_cast<std::byte>(flags);
    if (left_) return;
    const std::uint64_t changed =
        (sequence >> 16) + (sequence & 0xffff) + flags + (header_bytes_ - ip_bytes_) + payload.size();
    store16(transport, kTcpChecksumAt, net::checksum_finish(net::checksum_add(payload, transport_sum_ + changed)));
}

void Splitter::write_udp(net::ByteView payload) {
    const auto transport = net::MutableBytes(header_).subspan(ip_bytes_);
    const std::size_t length = kUdpBytes + payload.size();
    store16(transport, 4, length);
    if (left_) return;
    // The length counts twice: in the pseudo-header and in the header.
    const auto sum = net::checksum_add(payload, transport_sum_ + 2 * length);
    store16(transport, kUdpChecksumAt, never_zero(net::checksum_finish(sum)));
}

}  // namespace tun
