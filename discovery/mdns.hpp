/// Members on the same link, by DNS-SD over multicast DNS (RFC 6762, RFC 6763): the service _meshd._udp.
///
/// The responder is embedded: no avahi-daemon is needed, and one that runs is not disturbed. Instance and host name are
/// random and change with our addresses; who we are is sealed (seal.hpp).
#pragma once

#include <memory>
#include <string>

#include "discovery/method.hpp"
#include "discovery/seal.hpp"
#include "net/random.hpp"
#include "net/result.hpp"

struct AvahiPoll;

namespace discovery {

class Mdns final : public Method {
public:
    struct Settings {
        DiscoveryKey key;
        net::NodeKey self;
        std::uint16_t port = 0;                      ///< where our mesh listens (UDP)
        std::vector<std::string> interfaces;         ///< only these, by name; empty: all that can do multicast
        std::vector<std::string> denied_interfaces;  ///< at least our own mesh device
    };
    struct Counters {
        std::uint64_t strangers = 0;  ///< announcements not sealed under our key
        std::uint64_t over_limit = 0; ///< announcements passed over as too many were there already
    };

    /// `poll`, `random` and what `sightings` refers to must outlive it. Announces nothing until set_addresses(). It must
    /// not be destroyed from within a sighting.
    static net::Result<std::unique_ptr<Mdns>> open(const AvahiPoll& poll, Settings settings, Sightings sightings,
                                                   net::Random& random);
    ~Mdns() override;

    const char* name() const override { return "mdns"; }
    void set_addresses(std::vector<LocalAddress> addresses) override;
    const Counters& counters() const;

private:
    struct Inner;
    explicit Mdns(std::unique_ptr<Inner> inner);
    std::unique_ptr<Inner> inner_;
};

}  // namespace discovery
