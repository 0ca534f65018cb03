/// A NAT box, or a stateful firewall, in the words of RFC 4787. Passive: it is told of each packet that comes to it, and
/// says under which endpoint it goes on, or why it does not.
///
/// A mapping is what an inside endpoint is seen as outside. It begins with a packet from inside and lasts as long as more
/// of them come. Whoever outside is no stranger to it, by the box's rule of filtering, may send to it.
#pragma once

#include <map>
#include <string_view>

#include "net/address.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace sim {

enum class Transport : std::uint8_t { udp, tcp };

/// On what of the outside end a mapping (RFC 4787, 4.1) or the filter (5) depends.
enum class Behaviour : std::uint8_t { endpoint_independent, address_dependent, address_and_port_dependent };

/// RFC 4787, 4.2. No two mappings have the same port at a time, whichever it is (REQ-3).
enum class PortAssignment : std::uint8_t { preserving, sequential, random };

struct NatSettings {
    net::IpAddress outside;  ///< its address there; none: a firewall, endpoints stay as they are
    Behaviour mapping = Behaviour::endpoint_independent;  ///< a firewall's does not matter
    Behaviour filtering = Behaviour::address_and_port_dependent;
    PortAssignment ports = PortAssignment::preserving;
    bool hairpins = true;            ///< what is inside may reach what is inside by its outside endpoint (REQ-9)
    bool inbound_refreshes = false;  ///< packets from outside make a mapping last, too (REQ-6)
    bool web_only = false;           ///< nothing passes but TCP to the ports 80 and 443
    net::Duration mapping_lasts = std::chrono::minutes(2);  ///< of UDP (REQ-5); TCP's last 124 minutes (RFC 5382, REQ-5)
    std::size_t max_mappings = 4096;

    bool translates() const { return !outside.is_none(); }
};

/// The kinds that have names (RFC 3489), each at an outside address.
NatSettings full_cone(const net::IpAddress& outside);
NatSettings address_restricted(const net::IpAddress& outside);
NatSettings port_restricted(const net::IpAddress& outside);
NatSettings symmetric(const net::IpAddress& outside, PortAssignment ports);
NatSettings firewall();  ///< stateful, strict, without translation

class NatBox {
public:
    NatBox(NatSettings settings, std::uint64_t seed);

    enum class Verdict : std::uint8_t { passed, blocked, no_mapping, filtered, no_hairpin, full };
    struct Outcome {
        Verdict verdict = Verdict::passed;
        net::Endpoint endpoint;  ///< if passed
    };
    /// From inside to `to`: what it comes from outside.
    Outcome outbound(Transport transport, const net::Endpoint& from, const net::Endpoint& to, net::Steady now);
    /// From outside to our `to`: where it goes inside. `hairpin`: it came through outbound() of this very box.
    Outcome inbound(Transport transport, const net::Endpoint& from, const net::Endpoint& to, net::Steady now, bool hairpin = false);
    /// All mappings are gone.
    void reboot();
    std::size_t mappings(net::Steady now);
    const NatSettings& settings() const { return settings_; }

private:
    struct Key {
        Transport transport;
        net::Endpoint inside;
        net::Endpoint remote;  ///< as much of it as the mapping depends on
        auto operator<=>(const Key&) const = default;
    };
    struct Mapping {
        net::Endpoint outside;
        net::Steady until;
        std::map<net::Endpoint, net::Steady> known;  ///< remotes, as much of them as the filter depends on, until when
    };
    using Outside = std::pair<Transport, net::Endpoint>;

    bool allows(Transport transport, const net::Endpoint& remote) const;
    net::Duration lasts(Transport transport) const;
    Mapping* find(const Key& key, net::Steady now);
    Mapping* begin(const Key& key, net::Steady now);
    std::optional<net::Endpoint> free_endpoint(const Key& key, net::Steady now);
    void sweep(net::Steady now);

    NatSettings settings_;
    net::SeededRandom random_;
    std::uint16_t next_port_;  ///< of those in sequence
    std::map<Key, Mapping> mappings_;
    std::map<Outside, Key> by_outside_;
    net::Steady next_sweep_ = net::Steady::min();
};

}  // namespace sim
