/// The session description in a message's body: the body itself, or a part of one that has several (RFC 2046 section 5.1,
/// as RFC 5621 uses it in SIP), such as an emergency call's with a location beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace voice {

struct BodyPart {
    std::string_view text;           ///< borrowed from the body
    std::string_view length_digits;  ///< of a Content-Length that the part has for itself, as some write it; or empty
};

/// The first of type application/sdp that describes the session (not, by its Content-Disposition, something else); parts
/// within parts are looked into, three deep. Nullopt if there is none that can be read as it stands: what is encoded
/// otherwise than as 7bit, 8bit or binary stays as it is.
std::optional<BodyPart> sdp_part(std::string_view content_type, std::string_view body);

/// The body with another text for that part, which must be one of this body's.
std::string with_part(std::string_view body, const BodyPart& part, std::string_view text);

}  // namespace voice
