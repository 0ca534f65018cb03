/// Attended transfer (RFC 3891 with RFC 3515): an INVITE with Replaces is for the one phone that is in the dialog it
/// names, and a Refer-To that leads to it names whom other offices can find.
#pragma once

#include "voice/call.hpp"
#include "voice/lookup.hpp"

namespace voice {

/// A Replaces value: a dialog as the phone sees it that is to be called.
struct Replaces {
    std::string call_id;
    std::string to_tag;    ///< that phone's own
    std::string from_tag;  ///< its partner's

    static std::optional<Replaces> parse(std::string_view value);
    static std::optional<Replaces> of(const Message& invite);
    std::string text() const;
    bool operator==(const Replaces&) const = default;
};

/// The phones here that are in this dialog: one, or none.
std::vector<Target> holders(const Exchange& exchange, Calls& calls, const Lookup& lookup, const Replaces& replaces);

/// A phone of ours asks the other end of a call to take over a second call. Where its Refer-To has the address of a
/// phone, which other offices cannot reach, the address of record of that second call's other end takes its place. So it does
/// where a B2BUA lay in that call and is silent; then the office there is told what the call is called here.
void name_user_in_refer_to(Exchange& exchange, Calls& calls, Message& refer, net::Now now);
/// An INVITE that replaces a call of a phone here by the name that it had at the other side of a dead B2BUA.
void name_as_the_phone_does(Calls& calls, Message& invite);

}  // namespace voice
