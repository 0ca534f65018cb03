/// A SIP trunk to a gateway or a carrier, as a person configures it, and how numbers are written for it.
#pragma once

#include <memory>

#include "net/wiped.hpp"
#include "voice/dial_plan.hpp"
#include "voice/uri.hpp"

namespace voice {

/// A text that is wiped with its last copy, and never shown. The text that it was made from is the caller's to wipe.
class Password {
public:
    Password() = default;
    explicit Password(std::string_view text)
        : text_(new std::string(text), [](std::string* old) {
              net::wipe(*old);
              delete old;
          }) {}
    std::string_view view() const { return text_ ? std::string_view(*text_) : std::string_view(); }

private:
    std::shared_ptr<std::string> text_;
};

/// How a trunk wants E.164 numbers written.
enum class NumberForm : std::uint8_t {
    e164,           ///< +442079460148
    international,  ///< 00442079460148
    national,       ///< 02079460148 within the dial plan's country, 00... beyond it
};

inline constexpr std::size_t kMaxTrunks = 4;         ///< of one office: they are told of in one record
inline constexpr std::size_t kMaxTrunkPrefixes = 8;  ///< of one trunk
inline constexpr std::size_t kMaxPrefixLength = 16;

struct TrunkSettings {
    std::string name;                         ///< letters, digits and '-', at most 32
    Uri server;                               ///< without a user
    bool registers = false;                   ///< it sends calls to where we register; else it knows our address
    std::string user;                         ///< of the account; empty where there is none
    Password password;
    std::string realm;                        ///< the only one that the password is for; empty: whichever asks
    std::optional<Uri> from;                  ///< who calls, for carriers that want to see their account there
    std::string caller_id;                    ///< E.164: of callers who have no number of their own; empty: anonymous
    std::vector<std::string> prefixes{"+"};   ///< of numbers that it is for; "+" is all; without '+': as dialled
    unsigned cost = 10;                       ///< of equal prefixes the cheaper one is taken
    NumberForm form = NumberForm::e164;
    unsigned strip = 0;                       ///< digits to take off in front, of what `form` gives
    std::string add;                          ///< to be put there then
    std::vector<net::Prefix> inbound_from;    ///< where its calls may come from, beside its server
    bool emergency = true;                    ///< it takes calls for help
};

/// `number` (E.164, or digits that are dialled as they are) as this trunk wants it.
std::string written_for(const TrunkSettings& trunk, std::string_view number, const DialPlanSettings& plan);
/// E.164 in that form, nothing stripped or added.
std::string written_as(NumberForm form, std::string_view e164, const DialPlanSettings& plan);
/// How many characters of `number` the best of these prefixes covers; 0: none.
std::size_t covered(const std::vector<std::string>& prefixes, std::string_view number);

}  // namespace voice
