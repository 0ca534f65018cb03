/// Whom a request is from, whom it is for, and where they are without the centre.
#pragma once

#include "voice/forking.hpp"

namespace voice {

class Lookup {
public:
    explicit Lookup(Exchange& exchange) : exchange_(exchange) {}

    /// The address of record in From.
    static Aor caller_of(const Message& request) { return request.from().uri.address_of_record(); }
    /// The address of record that a Request-URI means here: itself, its user in our domain, or the owner of its number,
    /// in any of the ways in which the dial plan reads it.
    Aor callee_of(const Uri& uri) const;
    /// Whether there is such a user, present or not.
    bool is_known(const Aor& aor) const;

    /// Without the centre's word: a phone may speak only for what is bound to it here, a node only for users who may
    /// be bound there. What comes from the centre the centre has judged.
    bool may_speak_for(const Aor& caller, const Flow& flow) const;

    /// The E.164 number that a request is for: a tel URI's, or what the dial plan makes of the user part of one in our
    /// domain or of our own address.
    std::optional<std::string> number_of(const Uri& uri, const Flow& came_by) const;
    /// Whether a URI belongs to another domain, or to nobody whom the mesh knows.
    bool is_foreign(const Uri& uri, const Flow& came_by) const;

    /// The phones here, without the one at `except`.
    std::vector<Target> phones(const Aor& aor, const Flow& except) const;
    /// Whether the node on the far end of a mesh flow says that it has phones of this user.
    bool is_at(const Aor& aor, const Flow& flow) const;
    /// The other offices' proxies that have phones of this user.
    std::vector<Target> nodes(const Aor& aor) const;
    /// Both.
    std::vector<Target> everywhere(const Aor& aor, const Flow& except) const;
    Target phone(const Binding& binding) const;
    Target centre(const Uri& uri) const;  ///< requires one

private:
    /// RFC 5626 section 7: of the flows of one phone one is used.
    bool has_newer_flow(const Binding& binding) const;

    Exchange& exchange_;
};

}  // namespace voice
