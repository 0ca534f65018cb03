/// The DNS server's core: a question's bytes to a response's bytes, over what Zones hold. Passive, and nothing is kept.
///
///   not a query, or a response              no response
///   opcode not QUERY                        NOTIMP, header only
///   malformed, not one question, > 1 KiB    FORMERR, header only
///   EDNS version above 0                    BADVERS (RFC 6891 section 6.1.3)
///   name outside the zones, not class IN,
///   a zone transfer, a number by whom those
///   are not for                             REFUSED: nobody is asked in turn, so RA is never set
///   no such name, no such record            AA, NXDOMAIN or no answer, SOA in authority (RFC 2308)
///   else                                    AA, the records; the owner's case as asked
///
/// Toward UDP a response is no larger than 512 bytes, or what the question's EDNS says up to 1,232 (no fragments, and
/// little to gain for who forges the sender): first additional records go, then TC sends the asker to TCP.
#pragma once

#include "dns/query.hpp"
#include "dns/zones.hpp"

namespace dns {

inline constexpr std::size_t kUdpBytes = 512, kEdnsUdpBytes = 1232, kTcpBytes = 65535;

struct Asked {
    net::ByteView message;  ///< borrowed
    bool by_tcp = false;
    net::IpAddress to;      ///< of ours, to which it came
    bool numbers = true;    ///< who asks may know who has which number
};

enum class Outcome : std::uint8_t { answered, nothing, truncated, refused, malformed, dropped };
inline constexpr std::size_t kOutcomes = 6;
std::string_view name_of(Outcome outcome);

struct Response {
    Outcome outcome = Outcome::dropped;
    net::Bytes message;  ///< empty if it was dropped
};

Response respond(const Zones& zones, const Asked& asked);

}  // namespace dns
