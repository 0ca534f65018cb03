/// Who a phone is by the passwords of the mesh's own user records (RFC 3261 section 22), where the centre's word is not
/// to be had: for REGISTER (22.2) and for what begins anything else (22.3).
///
///   phone --INVITE--> meshd --407 Proxy-Authenticate--> phone
///   phone --INVITE Proxy-Authorization--> meshd --INVITE without it--> on
#pragma once

#include "voice/digest.hpp"
#include "voice/exchange.hpp"

namespace voice {

class Credentials {
public:
    /// As a registrar one asks by 401 WWW-Authenticate, as a proxy by 407 Proxy-Authenticate.
    enum class Asker : std::uint8_t { registrar, proxy };

    explicit Credentials(Exchange& exchange);

    /// Whether the record of `aor` has a password that our challenge can be answered with.
    bool provisioned(const Aor& aor) const;
    /// Nothing where the request proves that it is from `aor`, who may be bound here. Else the answer to it: a challenge,
    /// or 403 (counted) where the password is right but another's, or the user's place is not here.
    std::optional<Message> refusal(const Message& request, const Aor& aor, Asker asker, net::Now now);
    /// What the centre challenges: which realms are its own.
    void learn(const Message& from_centre);
    /// Takes out the credentials for our realm and the centre's, and no other's: those are for proxies and phones further
    /// on.
    void consume(Message& request) const;

private:
    /// The settings' algorithms that the user has a value for, else those that he has one for: who was added with MD5 only
    /// is asked for that. An unknown one is asked as anybody is.
    std::vector<DigestAlgorithm> offered(const std::optional<UserRecord>& user) const;
    bool ends_here(std::string_view credentials) const;

    Exchange& exchange_;
    std::vector<std::string> centre_realms_;
    DigestServer digest_;  ///< one for both askers: a phone may go on with the nonce that it registered with
};

}  // namespace voice
