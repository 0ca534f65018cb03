/// Registration without the centre's word (RFC 3261 section 10.3): as the mesh's own registrar with digest, and in an
/// outage for the devices that the centre has vouched for.
#pragma once

#include "voice/credentials.hpp"

namespace voice {

class Registrar {
public:
    Registrar(Exchange& exchange, Credentials& credentials) : exchange_(exchange), credentials_(credentials) {}

    /// The answer where there is no centre: a password decides.
    Message serve(const Message& request, const Flow& flow, net::Now now);
    /// The answer while the centre is away: same device and flow as it accepted, or a provisioned password, or 403.
    /// `later`: so much longer than in an outage it shall stay away, up to the usual time.
    Message outage(const Message& request, const Flow& flow, net::Now now, std::chrono::seconds later = {});
    /// The answer from here while the centre is up, if the request only refreshes what it will remember for long.
    std::optional<Message> refresh(const Message& request, const Flow& flow, net::Now now);

    /// Whether it is the refresh of a device that we know, and whose binding the centre may have forgotten.
    bool brings_back(const Message& request, const Flow& flow, net::Now now) const;

    /// 200 with the bindings of `aor`, each with its expires.
    Message listing(const Message& request, const Aor& aor, net::Now now) const;
    /// The binding that a Contact in a REGISTER is about: the same URI, or the same device (RFC 5626 section 4.1).
    static const Binding* binding_of(const Exchange& exchange, const Aor& aor, const NameAddr& contact);
    /// Says in the 200 what else was agreed: the Path that was given (RFC 3327), and that the flow is kept (RFC 5626
    /// section 6) where the phone asked for that and sits next to us.
    static void confirm_flow(const Message& request, const Flow& flow, Message& response);
    static std::uint32_t asked_expires_s(const Message& request, const NameAddr& contact);

private:
    /// Whether every Contact is a binding of ours that came by the same flow and was vouched for not too long ago.
    bool same_devices(const Message& request, const Flow& flow, net::Now now) const;
    /// The whole request or nothing; an error's status, or 200. `vouched`: a password just proved who it is.
    int apply(const Message& request, const Flow& flow, std::chrono::seconds most, bool vouched, net::Now now);
    Message with_password(const Message& request, const Flow& flow, std::chrono::seconds most, net::Now now);
    Message reply(const Message& request, int status, std::string_view phrase = {}) const;
    Message done(int status, const Message& request, const Flow& flow, net::Now now) const;

    Exchange& exchange_;
    Credentials& credentials_;
};

}  // namespace voice
