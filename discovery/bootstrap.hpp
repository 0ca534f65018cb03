/// The configured list of places to find members at. Passive: it says which names it wants resolved, is told the
/// answers, and tells the endpoints.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace discovery {

inline constexpr std::uint16_t kDefaultPort = 51820;

/// One entry of the list: a host name or an address, with a port.
struct BootstrapEntry {
    std::string host;
    std::uint16_t port = kDefaultPort;

    /// "hq.example", "hq.example:51820", "192.0.2.1:51820", "2001:db8::1", "[2001:db8::1]:51820".
    static std::optional<BootstrapEntry> parse(std::string_view text);
    auto operator<=>(const BootstrapEntry&) const = default;
};

class Bootstrap {
public:
    /// `random` must outlive this.
    Bootstrap(std::vector<BootstrapEntry> entries, net::Random& random, net::Now now);

    void tick(net::Now now);
    net::Steady next_deadline() const;
    /// All names are asked for again at once, as the network has changed.
    void network_changed(net::Now now);

    /// Names to resolve, each to be answered by resolved() or failed(). A name is not asked for again before that.
    std::vector<std::string> take_questions();
    /// `ttl` zero if unknown. A name is asked for again after its TTL, but not within a minute nor later than 5 minutes.
    void resolved(const std::string& name, const std::vector<net::IpAddress>& addresses, std::chrono::seconds ttl,
                  net::Now now);
    /// What was known of the name stays. It is asked for again after 1 s, 2 s... up to a minute.
    void failed(const std::string& name, net::Now now);

    /// All that is known at present, in the order of the list, each once.
    std::vector<net::Endpoint> endpoints() const;
    /// True once after endpoints() has changed.
    bool take_changed();

private:
    enum class State : std::uint8_t { idle, due, asked };
    struct Name {
        std::string host;
        State state = State::due;
        net::Steady ask_again = net::kNever;  ///< when idle
        unsigned failures = 0;                ///< in a row
        std::vector<net::IpAddress> addresses;
    };
    Name* find(const std::string& host);

    std::vector<BootstrapEntry> entries_;
    std::vector<Name> names_;
    net::Random& random_;
    bool changed_ = false;
};

}  // namespace discovery
