/// Responses as bytes, by ldns.
#pragma once

#include "dns/query.hpp"
#include "dns/zones.hpp"

namespace dns {

/// RFC 1035 section 4.1.1; 16 of RFC 6891.
enum class Rcode : std::uint8_t { no_error = 0, malformed = 1, no_name = 3, not_implemented = 4, refused = 5, bad_version = 16 };

struct Built {
    net::Bytes message;
    bool truncated = false;  ///< TC is set, and no record stands in it
};

/// To a query without a fault. At most `limit` bytes.
Built build(const Query& query, Rcode rcode, const Found& found, std::size_t limit);
/// To one that could not be read.
net::Bytes header_only(const Query& query, Rcode rcode);

}  // namespace dns
