/// A dialog between a phone and the centre, as bytes that the owner of the proxy keeps over a restart.
#pragma once

#include "net/time.hpp"
#include "voice/flow.hpp"
#include "voice/message.hpp"

namespace voice {

struct KeptDialog {
    Message notify;  ///< the last of the centre's, as it went to the phone, without Via and body
    Transport transport = Transport::udp;
    net::Endpoint phone;
    std::string token;  ///< of its binding, if it has one
    net::Wall expires;
};

/// Empty if it is too long to be kept.
net::Bytes kept_value(const KeptDialog& dialog);
/// nullopt: that was written by nobody like us.
std::optional<KeptDialog> kept_dialog(net::ByteView value);

}  // namespace voice
