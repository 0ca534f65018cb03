/// DNS questions and answers as values, for the records that lead to a SIP server: NAPTR (RFC 3403), SRV (RFC 2782),
/// A and AAAA. Nothing here asks: the owner carries questions to a name server, and brings its raw answers.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "net/address.hpp"

namespace voice {

/// The numbers of RFC 1035 and its successors.
enum class DnsType : std::uint16_t { a = 1, aaaa = 28, srv = 33, naptr = 35 };
std::string_view name_of(DnsType type);

struct DnsQuestion {
    std::string name;  ///< lower case, without the root's dot
    DnsType type = DnsType::a;
    auto operator<=>(const DnsQuestion&) const = default;
};

/// Texts as they came, of any bytes, each at most 255.
struct Naptr {
    std::uint16_t order = 0;
    std::uint16_t preference = 0;
    std::string flags;
    std::string services;
    std::string regexp;
    std::string replacement;  ///< as in DnsQuestion; empty: "."
    bool operator==(const Naptr&) const = default;
};

struct Srv {
    std::uint16_t priority = 0;
    std::uint16_t weight = 0;
    std::uint16_t port = 0;
    std::string target;  ///< as in DnsQuestion; empty: ".", the service is decidedly not offered
    bool operator==(const Srv&) const = default;
};

struct DnsAnswer {
    enum class Kind : std::uint8_t {
        found,
        nothing,  ///< no such name, or no record of this type there
        failed    ///< nobody has answered, or not what was asked
    };
    Kind kind = Kind::failed;
    std::vector<Naptr> naptrs;  ///< in the order of the message; the other lists too
    std::vector<Srv> srvs;
    std::vector<net::IpAddress> addresses;
    std::size_t skipped = 0;  ///< records that are malformed, or too many
    std::chrono::seconds ttl{0};

    bool operator==(const DnsAnswer&) const = default;
};

/// An answer never holds more records than this; the rest are skipped.
inline constexpr std::size_t kMaxDnsRecords = 64;

/// Reads a whole DNS message. CNAMEs are followed within it. nullopt: it is malformed, is no answer to this question, or
/// the server says that it could not find out.
std::optional<DnsAnswer> parse_dns_answer(const DnsQuestion& question, net::ByteView message);

/// RFC 3403 section 4.1: by order, then by preference; equals stay as they came in the message.
std::vector<Naptr> in_order(std::vector<Naptr> records);

/// Lower case, the root's dot gone. nullopt unless it is letters, digits, '-' and '_' in labels of at most 63, 253 together.
std::optional<std::string> dns_name(std::string_view text);

}  // namespace voice
