/// Resource records as values, of the types that are served here.
#pragma once

#include <variant>

#include "dns/name.hpp"

namespace dns {

/// RFC 1035 section 3.2.2 and its successors; other numbers may stand in a question.
enum class Type : std::uint16_t {
    a = 1, ns = 2, soa = 6, ptr = 12, aaaa = 28, srv = 33, opt = 41, naptr = 35, tkey = 249, tsig = 250, ixfr = 251, axfr = 252,
    any = 255
};

struct Soa {
    Name primary, mailbox;
    std::uint32_t serial = 0;
    bool operator==(const Soa&) const = default;
};
struct Srv {  ///< RFC 2782
    std::uint16_t priority = 0, weight = 0, port = 0;
    Name target;
    bool operator==(const Srv&) const = default;
};
struct Naptr {  ///< RFC 3403; each text at most 255 bytes
    std::uint16_t order = 0, preference = 0;
    std::string flags, services, regexp;
    Name replacement;
    bool operator==(const Naptr&) const = default;
};
/// The address to which the question came: what a phone reaches this machine at.
struct Here {
    bool operator==(const Here&) const = default;
};

struct Record {
    Name owner;
    Type type = Type::a;
    std::uint32_t ttl_s = 0;
    std::variant<net::IpAddress, Name, Soa, Srv, Naptr, Here> data;  ///< Name: of NS and PTR
    bool operator==(const Record&) const = default;
};

/// As in zone files: "trento.acme.internal 30 A 10.1.2.3".
std::string text(const Record& record);
std::string_view name_of(Type type);  ///< empty for others than those above

// RFC 2308: how long it holds that there is nothing, and what stands in SOA beside it for secondaries that are none.
inline constexpr std::uint32_t kNegativeTtlS = 10, kRefreshS = 60, kRetryS = 60, kExpireS = 600;

}  // namespace dns
