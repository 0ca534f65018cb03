/// The configured list of places to find members at. Passive: it says which names it wants resolved, is told the
/// answers, and tells the endpoints.
///
/// A name without a port may be a domain that says in its SRV records (RFC 2782), _meshd._udp.DOMAIN, where its members
/// are. Where it has none, or nobody can tell, it is a host like any other, at the default port.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "net/address.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace discovery {

inline constexpr std::uint16_t kDefaultPort = 51820;

/// One entry of the list: a host name or an address, with a port, or a domain.
struct BootstrapEntry {
    std::string host;
    std::uint16_t port = kDefaultPort;
    bool domain = false;  ///< no port was said of a name: its SRV records go first

    /// "acme.example", "hq.example:51820", "192.0.2.1:51820", "2001:db8::1", "[2001:db8::1]:51820".
    static std::optional<BootstrapEntry> parse(std::string_view text);
    auto operator<=>(const BootstrapEntry&) const = default;
};

/// One SRV record.
struct BootstrapService {
    std::uint16_t priority = 0, weight = 0, port = 0;
    std::string target;  ///< lower case; empty: ".", this domain has decidedly no members to be found
    auto operator<=>(const BootstrapService&) const = default;
};

class Bootstrap {
public:
    /// What to ask DNS for: the addresses of a host, or the SRV records of _meshd._udp at a domain.
    struct Question {
        enum class Kind : std::uint8_t { addresses, services };
        Kind kind = Kind::addresses;
        std::string name;
        auto operator<=>(const Question&) const = default;
    };

    /// `random` must outlive this.
    Bootstrap(std::vector<BootstrapEntry> entries, net::Random& random, net::Now now);

    void tick(net::Now now);
    net::Steady next_deadline() const;
    /// All names are asked for again at once, as the network has changed.
    void network_changed(net::Now now);

    /// Each to be answered by resolved(), served() or failed(). It is not asked for again before that.
    std::vector<Question> take_questions();
    /// `ttl` zero if unknown. A name is asked for again after its TTL, but not within a minute nor later than 5 minutes.
    void resolved(const std::string& name, const std::vector<net::IpAddress>& addresses, std::chrono::seconds ttl,
                  net::Now now);
    /// As resolved(), of services: none if there are no such records.
    void served(const std::string& domain, const std::vector<BootstrapService>& services, std::chrono::seconds ttl, net::Now now);
    /// What was known stays. It is asked for again after 1 s, 2 s... up to a minute.
    void failed(const Question& question, net::Now now);

    /// All that is known at present, in the order of the list, services by priority and weight, each once.
    std::vector<net::Endpoint> endpoints() const;
    /// True once after endpoints() has changed.
    bool take_changed();

private:
    enum class State : std::uint8_t { idle, due, asked };
    struct Name {
        Question question;
        State state = State::due;
        net::Steady ask_again = net::kNever;  ///< when idle
        unsigned failures = 0;                ///< in a row
        bool answered = false;                ///< ever
        std::vector<net::IpAddress> addresses;
        std::vector<BootstrapService> services;  ///< in the order in which to try them
    };
    Name* find(const Question& question);
    const Name* find(const Question& question) const;
    void settle();
    void known(Name& name, std::chrono::seconds ttl, net::Now now);
    std::vector<BootstrapService> ordered(std::vector<BootstrapService> services);
    std::vector<net::Endpoint> endpoints_of(const BootstrapEntry& entry) const;

    std::vector<BootstrapEntry> entries_;
    std::vector<Name> names_;
    net::Random& random_;
    bool changed_ = false;
};

}  // namespace discovery
