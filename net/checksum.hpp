/// The Internet checksum (RFC 1071): one's complement sums of 16-bit big-endian words.
/// A partial sum is a number of which only its remainder modulo 0xffff counts (zero only if all that was added is
/// zero), so partial sums, lengths and header fields are simply added to each other; checksum_fold() comes last.
#pragma once

#include "net/bytes.hpp"

namespace net {

/// `sum` plus the words of `bytes`, at any alignment. An odd last byte counts as a word padded with zero, so only the
/// last of several calls may be given an odd number of bytes.
std::uint64_t checksum_add(ByteView bytes, std::uint64_t sum = 0);

/// The sum in 16 bits, not complemented: what the kernel calls a partial checksum, and 0xffff for data that is right.
inline std::uint16_t checksum_fold(std::uint64_t sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
}

/// What stands in a header's checksum field.
inline std::uint16_t checksum_finish(std::uint64_t sum) {
    return static_cast<std::uint16_t>(~checksum_fold(sum));
}

/// Sum of the pseudo-header of TCP and UDP (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1). `addresses` are
/// source and destination as they stand side by side in the IP header, 8 or 32 bytes; `transport_bytes` counts header
/// and payload.
inline std::uint64_t checksum_pseudo_header(ByteView addresses, std::uint8_t protocol, std::size_t transport_bytes) {
    return checksum_add(addresses, std::uint64_t{protocol} + transport_bytes);
}

}  // namespace net
