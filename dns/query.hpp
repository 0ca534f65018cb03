/// A question from the wire. It is read by hand: the little that a question may hold needs no library, and compression,
/// which can only be an attack in it, is refused instead of followed.
#pragma once

#include "dns/name.hpp"

namespace dns {

/// A question is one name and perhaps some EDNS options: what is larger is none.
inline constexpr std::size_t kMaxQueryBytes = 1024;
inline constexpr std::size_t kHeaderBytes = 12;  // RFC 1035 section 4.1.1

struct Query {
    enum class Fault : std::uint8_t {
        none,
        not_a_query,      ///< too short for one, or itself a response: an answer might be answered again
        malformed,        ///< FORMERR
        not_implemented,  ///< NOTIMP: another opcode
    };
    struct Edns {  // RFC 6891 section 6.1
        std::uint16_t udp_bytes = 0;
        std::uint8_t version = 0;
        bool dnssec_ok = false;
    };

    Fault fault = Fault::none;
    std::uint16_t id = 0;
    std::uint8_t opcode = 0;
    bool recursion_desired = false;
    // Only without a fault:
    net::Bytes wire_name;  ///< in the case it was asked in
    Name name;
    std::uint16_t type = 0, record_class = 0;
    std::optional<Edns> edns;
};

/// Whether it is worth reading: a header at least, and no response, as somebody may have other servers send here.
inline bool may_be_query(net::ByteView message) {
    return message.size() >= kHeaderBytes && (message[2] & std::byte{0x80}) == std::byte{};
}
/// Never fails: see `fault`.
Query read_query(net::ByteView message);

}  // namespace dns
