#include "tun/offload.hpp"

#include <array>
#include <cassert>

namespace tun {
namespace {

// VIRTIO_NET_HDR_*: by our own names, because Debian 12's headers lack one, and what C++ sees of them is a C union.
constexpr std::uint8_t kFlagNeedsChecksum = 1;
constexpr std::uint8_t kFlagDataValid = 2;
constexpr std::uint8_t kGsoNone = 0;
constexpr std::uint8_t kGsoTcp4 = 1;
constexpr std::uint8_t kGsoTcp6 = 4;
constexpr std::uint8_t kGsoUdpL4 = 5;
constexpr std::uint8_t kGsoEcn = 0x80;

std::optional<Gso> gso_of(std::uint8_t type) {
    switch (type) {
        case kGsoNone:
            return Gso::none;
        case kGsoTcp4:
            return Gso::tcp4;
        case kGsoTcp6:
            return Gso::tcp6;
        case kGsoUdpL4:
            return Gso::udp;
        default:
            return std::nullopt;
    }
}

std::uint8_t type_of(Gso gso) {
    switch (gso) {
        case Gso::none:
            return kGsoNone;
        case Gso::tcp4:
            return kGsoTcp4;
        case Gso::tcp6:
            return kGsoTcp6;
        case Gso::udp:
            return kGsoUdpL4;
    }
    return kGsoNone;
}

}  // namespace

std::optional<Offload> Offload::read(net::ByteView bytes) {
    if (bytes.size() < kBytes) return std::nullopt;
    const auto flags = std::to_integer<std::uint8_t>(bytes[0]), type = std::to_integer<std::uint8_t>(bytes[1]);
    const auto gso = gso_of(static_cast<std::uint8_t>(type & ~kGsoEcn));
    if (!gso) return std::nullopt;
    std::array<std::uint16_t, 4> words;
    std::memcpy(words.data(), bytes.data() + 2, sizeof words);
    Offload out;
    out.gso = *gso;
    out.ecn = (type & kGsoEcn) != 0;
    out.needs_checksum = (flags & kFlagNeedsChecksum) != 0;
    out.checksum_valid = (flags & kFlagDataValid) != 0;
    out.header_bytes = words[0];
    out.segment_bytes = words[1];
    out.checksum_start = words[2];
    out.checksum_offset = words[3];
    return out;
}

void Offload::write(net::MutableBytes out) const {
    assert(out.size() >= kBytes);
    out[0] = static_cast<std::byte>((needs_checksum ? kFlagNeedsChecksum : 0) | (checksum_valid ? kFlagDataValid : 0));
    out[1] = static_cast<std::byte>(type_of(gso) | (ecn ? kGsoEcn : 0));
    const std::array<std::uint16_t, 4> words{header_bytes, segment_bytes, checksum_start, checksum_offset};
    std::memcpy(out.data() + 2, words.data(), sizeof words);
}

}  // namespace tun
