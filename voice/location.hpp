/// The phones registered here: RFC 3261 section 10.3's location service, in memory, bounded. Who may bind is decided
/// before it is called.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/time.hpp"
#include "voice/directory.hpp"
#include "voice/flow.hpp"

namespace voice {

/// One phone of one user.
struct Binding {
    Aor aor;
    std::string contact;   ///< the phone's Contact URI as it wrote it: where requests for it go
    std::string display;   ///< the Contact's other parameters that are given back as they came (";+sip.instance=...")
    std::string instance;  ///< +sip.instance, empty if none: the device
    std::string token;     ///< stands for this binding in the user part of the URI that others are given
    Flow flow;             ///< where its REGISTER came from; requests go back the same way
    float q = 1.0F;
    std::string call_id;
    std::uint32_t cseq = 0;
    net::Steady expires;         ///< toward the phone
    net::Steady centre_expires;  ///< what the centre granted; the past if it never did
    std::uint64_t centre_losses = 0;  ///< CentreMonitor::losses() when the centre last confirmed it
    net::Steady confirmed;       ///< when the centre or a password last vouched for this device
    net::Now since;
};

/// An address of record that has a phone here until then, or (nullopt) has none any more.
struct BindingChanged {
    Aor aor;
    std::optional<net::Wall> until;
};

class Location {
public:
    explicit Location(std::size_t max_bindings = 20000, std::size_t max_per_aor = 16)
        : max_bindings_(max_bindings), max_per_aor_(max_per_aor) {}

    /// Adds the binding or replaces the one with its token; false if the table is full.
    bool put(Binding binding, net::Now now);
    void remove(const std::string& token, net::Now now);
    void remove_flow(const Flow& flow, net::Now now);  ///< a TCP connection is gone, and its bindings with it
    void tick(net::Now now);
    net::Steady next_deadline() const;

    /// Borrowed until the next change.
    const Binding* by_token(const std::string& token) const;
    const Binding* find(const Aor& aor, std::string_view contact) const;
    /// The highest q first.
    std::vector<const Binding*> of(const Aor& aor) const;
    /// A binding whose requests come by this flow: whose phone speaks (RFC 5626 section 4.3 for TCP; address and port
    /// for UDP). `aor` empty: any.
    const Binding* from(const Flow& flow, const Aor& aor) const;
    std::vector<const Binding*> all() const;
    std::size_t size() const { return by_token_.size(); }

    std::vector<BindingChanged> take_changes();

private:
    void erase(std::unordered_map<std::string, Binding>::iterator at, net::Now now);
    void note(const Aor& aor, net::Now now);

    std::unordered_map<std::string, Binding> by_token_;
    std::unordered_multimap<Aor, std::string> tokens_of_;
    std::multimap<net::Steady, std::string> by_expiry_;
    std::map<Aor, std::optional<net::Wall>> changes_;
    std::size_t max_bindings_;
    std::size_t max_per_aor_;
};

/// "user@domain" of a SIP or SIPS URI's parts.
Aor make_aor(std::string_view user, std::string_view host);

}  // namespace voice
