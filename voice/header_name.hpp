/// The headers that are asked for by name, each a number that is found once: when its line is read or written.
#pragma once

#include <cstdint>
#include <string_view>

namespace voice {

enum class HeaderName : std::uint8_t {
    other,  ///< compared by its letters
    accept_contact, allow, allow_events, authorization, call_id, contact, content_encoding, content_length, content_type,
    cseq, event, expires, from, identity, max_forwards, min_expires, path, proxy_authenticate, proxy_authorization,
    proxy_require, record_route, refer_to, referred_by, reject_contact, require, retry_after, route, service_route,
    session_expires, subject, supported, to, user_agent, via, www_authenticate,
    count_  ///< how many there are
};

/// In any case, and by its compact form (RFC 3261 7.3.3 and the registry).
HeaderName header_name(std::string_view name);

}  // namespace voice
