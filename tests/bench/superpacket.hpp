/// A TCP superpacket as the kernel gives it to a link of 1420 bytes.
#pragma once

#include "net/checksum.hpp"
#include "tun/split.hpp"

namespace bench {

constexpr std::size_t kHeaderBytes = 52;  // IPv4, TCP with time stamps
constexpr std::size_t kSegmentBytes = 1420 - kHeaderBytes;
constexpr std::size_t kSegments = 47;  // so many are just below 64 KiB

struct Superpacket {
    Superpacket() : bytes(kHeaderBytes + kSegments * kSegmentBytes, std::byte{0x5a}) {
        const auto total = bytes.size();
        net::Writer words;
        for (const std::uint32_t word : {0x45000000U | static_cast<std::uint32_t>(total), 0x00014000U, 0x40060000U,  //
                                         0x0a000001U, 0x0a000002U, 0x03e807d0U, 1U, 1U, 0x801001f4U, 0U,             //
                                         0x0101080aU, 1U, 2U}) {
            words.u32be(word);
        }
        const auto header = words.take();
        std::copy(header.begin(), header.end(), bytes.begin());
        const auto addresses = net::ByteView(bytes).subspan(12, 8);
        const auto sum = net::checksum_fold(net::checksum_pseudo_header(addresses, 6, total - 20));
        bytes[36] = static_cast<std::byte>(sum >> 8);
        bytes[37] = static_cast<std::byte>(sum & 0xff);
        offload.gso = tun::Gso::tcp4;
        offload.needs_checksum = true;
        offload.segment_bytes = kSegmentBytes;
        offload.header_bytes = kHeaderBytes;
        offload.checksum_start = 20;
        offload.checksum_offset = 16;
    }

    net::Bytes bytes;
    tun::Offload offload;
};

}  // namespace bench
