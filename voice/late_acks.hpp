/// An answer that the centre passed on before it died, and whose ACK died with it. The callee's phone, of this office, says it
/// again and again; whether the caller has it, and no other branch of that INVITE is to be answered, the caller's office knows:
///
///   phone --2xx, again--> its meshd --OPTIONS, X-Meshd-Past-Centre: our end of the media, X-Meshd-Ack-Wanted--> the caller's
///         <-----ACK-----            <--200: the caller has acknowledged it; 481: that is not known--
///
/// Not within one office: there Forking::hand_over() sees both sides.
#pragma once

#include "voice/call.hpp"

namespace voice {

inline constexpr std::string_view kAckWanted = "X-Meshd-Ack-Wanted";

class LateAcks {
public:
    LateAcks(Exchange& exchange, Calls& calls, Forsaken& forsaken) : exchange_(exchange), calls_(calls), forsaken_(forsaken) {}

    /// The phone repeats the answer of this call, which is up and which the centre has brought. At most one question at a time
    /// is under way for each call: the next repetition asks again.
    void repeated(Call& call, net::Now now);
    /// False: that is not the answer to a question of ours.
    bool response(ClientId id, int status, net::Now now);

private:
    Exchange& exchange_;
    Calls& calls_;
    Forsaken& forsaken_;
    std::unordered_map<ClientId, std::string> asked_;  ///< by the OPTIONS, keys of calls
};

}  // namespace voice
