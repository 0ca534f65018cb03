/// Calls for help: the numbers that this office's telephone network takes them under.
#pragma once

#include "voice/dial_plan.hpp"
#include "voice/uri.hpp"

namespace voice {

/// The parameter of a Request-URI by which one office tells another that a call is for help, whatever its number means there.
inline constexpr std::string_view kEmergencyParam = "meshd-emergency";

/// The entry of `numbers` that a URI asks for: dialled as it stands there, or behind the digits that fetch a line; the
/// first of them for urn:service:sos and what is below it (RFC 5031). nullopt: it is no call for help.
std::optional<std::string> emergency_number(const Uri& uri, const std::vector<std::string>& numbers,
                                            const DialPlanSettings& plan);

}  // namespace voice
