/// A call through a B2BUA that has died: its two ends know it by different Call-IDs and tags, and no Route leads from one
/// to the other. Where its media runs between two of our anchors these know each other, and that joins the ends:
///
///   phone -> its meshd --X-Meshd-Past-Centre: our end of the media--> the meshd at its other end
///         -> as the B2BUA would have sent it: with the Call-ID, tags and sequence numbers of that phone's dialog
///
/// So with a call that rings, or whose answer did not get through any more. When the caller's meshd asks over the mesh, a call
/// that the centre has brought to the callee's, and whose media ends where that of this INVITE does, is the same:
///
///   the callee's meshd --180; 2xx, X-Meshd-Past-Centre--> the caller's meshd
///         -> with the Call-ID and tags of the caller's dialog; what follows goes as above
#pragma once

#include "voice/call.hpp"

namespace voice {

inline constexpr std::string_view kPastCentre = "X-Meshd-Past-Centre";

/// What the phone at the other end calls the call that is spoken of, as in Replaces: told ahead of who is to replace it.
inline constexpr std::string_view kKnownAs = "X-Meshd-Known-As";

/// Our end of a call's media, as the other anchor knows it; nullopt if it does not run through the mesh.
std::optional<net::Endpoint> our_end(const Exchange& exchange, const Call& call);

/// The call that a member speaks of by a request with that header: whose media ends where the member says that its own
/// end is, and is indeed. Null if there is none.
Call* spoken_of(const Exchange& exchange, Calls& calls, const Message& request, const Flow& from);

/// Where the media of a member's offer ends that it has anchored; nullopt if there is none.
std::optional<net::Endpoint> end_of(const Message& offer);

/// Turns what came from the far side of a call into a request of the near phone's dialog, and says where that phone is.
/// Nullopt before the call is answered, and for an ACK to no INVITE that came this way.
std::optional<Target> into_dialog(const Exchange& exchange, Call& call, Message& request);

}  // namespace voice
