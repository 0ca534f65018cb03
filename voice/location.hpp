/// The phones registered here: RFC 3261 section 10.3's location service, in memory, bounded. Who may bind is decided
/// before it is called.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/time.hpp"
#include "voice/directory.hpp"
#include "voice/flow.hpp"
#include "voice/header.hpp"

namespace voice {

/// How long a binding outlives the time that its phone was told: its refresh is on its way, or waits for a dying centre.
inline constexpr auto kRefreshSlack = std::chrono::seconds(10);

/// One phone of one user.
struct Binding {
    Aor aor;
    NameAddr contact;   ///< as the phone wrote it: where requests for it go, and what it is given back
    std::string token;  ///< stands for this binding in the user part of the URI that others are given
    Flow flow;          ///< where its REGISTER came from; requests go back the same way
    bool flow_lost = false;      ///< an Outbound phone's connection is gone, and it has not come by another yet
    std::vector<NameAddr> path;  ///< RFC 3327: what stands between the phone and us, the next to us first
    std::string call_id;
    std::uint32_t cseq = 0;
    net::Steady expires;              ///< toward the phone
    net::Steady centre_expires;       ///< what the centre granted; the past if it never did
    std::uint64_t centre_lapses = 0;  ///< CentreMonitor::lapses() when the centre last confirmed it
    net::Steady confirmed;            ///< when the centre or a password last vouched for this device
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
    /// A TCP or TLS connection is gone: from now on its phones are reached at the port in their Contact, on the same
    /// machine. Those that keep flows by RFC 5626 are not reached at all until they come by a new one.
    void lose_connection(std::uint64_t connection, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;

    /// Borrowed until the next change.
    const Binding* by_token(const std::string& token) const;
    const Binding* find(const Aor& aor, const Uri& contact) const;  ///< compared as URIs are (RFC 3261 10.3 step 7)
    /// The highest q first.
    std::vector<const Binding*> of(const Aor& aor) const;
    /// The binding of `aor` whose requests come by this flow: address and port for UDP; the connection for TCP, or, once
    /// that is gone, another one of the same machine.
    const Binding* from(const Flow& flow, const Aor& aor) const;
    std::size_t count_at(const net::IpAddress& address) const;  ///< bindings whose REGISTER came from there
    bool is_at(const net::Endpoint& remote) const;  ///< whether any phone has registered from there; looks at all
    std::vector<const Binding*> all() const;
    std::size_t size() const { return by_token_.size(); }

    /// Whether a Contact says that its phone keeps the flow it registers by (RFC 5626 section 4.2): +sip.instance, reg-id.
    static bool keeps_flow(const NameAddr& contact);

    /// One for each address of record that has changed, at most every kTellEvery: whoever hears of it signs, spreads and
    /// stores, and is asked by next_deadline() to come back for what waits.
    std::vector<BindingChanged> take_changes(net::Now now);
    static constexpr auto kTellEvery = std::chrono::milliseconds(100);

private:
    void unlink(const Binding& binding);
    void note(const Aor& aor, net::Now now);

    std::unordered_map<std::string, Binding> by_token_;
    std::unordered_multimap<Aor, std::string> tokens_of_;
    std::set<std::pair<net::Steady, std::string>> by_expiry_;
    std::unordered_map<net::IpAddress, std::size_t> count_at_;
    std::map<Aor, std::optional<net::Wall>> changes_;
    net::Steady tell_from_ = net::Steady::min();
    std::size_t max_bindings_;
    std::size_t max_per_aor_;
};

}  // namespace voice
