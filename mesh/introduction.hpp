/// Introduction (type 7): to a member that may not know us yet, because its roster is older than we are.
///
///   u8 7, three zero bytes | sealed to the responder's tunnel key: records, each behind its u16 length | mac1 | mac2
///
/// It holds our member record and the chain of its signers up to the root, is never answered, and fits 1,200 bytes.
#pragma once

#include "mesh/cookie.hpp"
#include "mesh/sealing.hpp"

namespace mesh {

inline constexpr std::uint8_t kIntroductionType = 7;
inline constexpr std::size_t kMaxIntroductionBytes = 1200;

/// By its type and size only.
bool is_introduction(net::ByteView datagram);
/// Nullopt if the records do not fit.
std::optional<net::Bytes> make_introduction(const net::TunnelKey& to, std::span<const net::ByteView> wires,
                                            net::Random& random, net::Now now);
/// Checks mac1, which is cheap, and opens it, which is not: limit the rate before.
std::optional<std::vector<net::Bytes>> open_introduction(const net::TunnelSecret& secret, net::ByteView datagram);

}  // namespace mesh
