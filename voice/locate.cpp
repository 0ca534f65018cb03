#include "voice/locate.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace voice {
namespace {

constexpr std::size_t kMaxServices = 8;    // NAPTR records that are followed
constexpr std::size_t kMaxTargets = 16;    // SRV records that are followed

struct Service {
    Transport transport;
    std::string_view naptr;  ///< RFC 3263 section 4.1
    std::string_view srv;
};
constexpr Service kServices[] = {
    {Transport::udp, "SIP+D2U", "_sip._udp."},
    {Transport::tcp, "SIP+D2T", "_sip._tcp."},
    {Transport::tls, "SIPS+D2T", "_sips._tcp."},
};

const Service& service_of(Transport transport) {
    return *std::find_if(std::begin(kServices), std::end(kServices), [&](const auto& s) { return s.transport == transport; });
}

class ServerSearch {
public:
    ServerSearch(const LocateSettings& settings, DnsFacts& facts, net::Random& random)
        : settings_(settings), facts_(facts), random_(random) {}

    Located uri(const Uri& uri) {
        secure_ = uri.scheme == "sips";
        const auto maddr = uri.params.get("maddr");
        const auto named = uri.params.get("transport");
        std::optional<Transport> transport;
        if (named) {
            transport = transport_of(*named);
            if (!transport) return refused("there is no way to speak transport=" + std::string(*named));
        }
        return place(std::string(maddr.value_or(uri.host)), uri.port, transport);
    }

    Located response(const Via& via) {
        const auto transport = transport_of(net::to_lower(via.transport));
        if (!transport) return refused("there is no way to speak " + via.transport);
        return place(std::string(via.host), via.port, transport);
    }

private:
    static Located refused(std::string why) { return {{}, std::move(why)}; }

    std::optional<Transport> transport_of(std::string_view name) const {
        if (net::equals_ignoring_case(name, "udp")) return secure_ ? std::nullopt : std::optional(Transport::udp);
        if (net::equals_ignoring_case(name, "tcp")) return secure_ ? Transport::tls : Transport::tcp;
        if (net::equals_ignoring_case(name, "tls")) return Transport::tls;  // deprecated, and everywhere
        return std::nullopt;
    }
    bool speaks(Transport transport) const {
        return std::find(settings_.transports.begin(), settings_.transports.end(), transport) != settings_.transports.end();
    }

    /// Section 4.1, then 4.2.
    Located place(const std::string& host, std::uint16_t port, std::optional<Transport> transport) {
        const auto plain = transport.value_or(secure_ ? Transport::tls : Transport::udp);
        const auto address = net::IpAddress::parse(host);
        const auto name = address ? std::nullopt : dns_name(host);
        if (!address && !name) return refused("'" + host + "' is neither an address nor a name");
        if (address || port != 0) {
            if (!speaks(plain)) return refused("there is no way to speak " + std::string(via_name(plain)));
            const auto there = port != 0 ? port : default_port(plain);
            if (address) {
                add(plain, *address, there, "");
            } else {
                host_addresses(plain, *name, there);
            }
        } else if (transport) {
            if (!speaks(plain)) return refused("there is no way to speak " + std::string(via_name(plain)));
            if (!srv(plain, std::string(service_of(plain).srv) + *name)) host_addresses(plain, *name, default_port(plain));
        } else {
            by_name(*name, plain);
        }
        return finished(host);
    }

    /// No transport and no port are given: NAPTR, else SRV of each transport, else the addresses.
    void by_name(const std::string& name, Transport plain) {
        const auto* answer = facts_.find({name, DnsType::naptr});
        if (answer == nullptr) return;
        const auto naptrs = in_order(answer->naptrs);
        bool any = false;
        std::size_t followed = 0;
        for (const auto& naptr : naptrs) {
            const auto* service = std::find_if(std::begin(kServices), std::end(kServices), [&](const auto& s) {
                return net::equals_ignoring_case(naptr.services, s.naptr);
            });
            if (service == std::end(kServices) || !net::equals_ignoring_case(naptr.flags, "s")) continue;
            if (!naptr.regexp.empty() || naptr.replacement.empty()) continue;
            any = true;  // a server that offers SIP by NAPTR offers it in no other way
            if (!speaks(service->transport) || (secure_ && service->transport != Transport::tls)) continue;
            if (++followed > kMaxServices) break;
            srv(service->transport, naptr.replacement);
        }
        if (any) {
            if (followed == 0) why_ = "it offers none of the transports that there are here";
            return;
        }
        bool found = false;
        for (const auto transport : settings_.transports) {
            if (secure_ && transport != Transport::tls) continue;
            found |= srv(transport, std::string(service_of(transport).srv) + name);
        }
        if (found) return;
        if (!speaks(plain)) {
            why_ = "there is no way to speak " + std::string(via_name(plain));
            return;
        }
        host_addresses(plain, name, default_port(plain));
    }

    /// True if there are SRV records, be it only the one that says no.
    bool srv(Transport transport, const std::string& name) {
        const auto* answer = facts_.find({name, DnsType::srv});
        if (answer == nullptr) return true;  // whether there are any is not known yet
        if (answer->srvs.empty()) return false;
        auto records = answer->srvs;
        if (records.size() > kMaxTargets) records.resize(kMaxTargets);
        // All addresses are asked for at once, and chance has its say only when all are known.
        for (const auto& record : records) {
            if (!record.target.empty()) ask_addresses(record.target);
        }
        if (!facts_.complete()) return true;
        bool none = true;
        for (const auto& record : in_order(std::move(records), random_)) {
            if (record.target.empty()) continue;
            none = false;
            host_addresses(transport, record.target, record.port);
        }
        if (none) why_ = "its SRV record says that it does not offer SIP";
        return true;
    }

    void ask_addresses(const std::string& name) {
        if (net::IpAddress::parse(name)) return;
        if (settings_.ipv6) facts_.find({name, DnsType::aaaa});
        if (settings_.ipv4) facts_.find({name, DnsType::a});
    }

    void host_addresses(Transport transport, const std::string& name, std::uint16_t port) {
        // RFC 2782 wants a name as target. Zones that have an address there mean it.
        if (const auto address = net::IpAddress::parse(name)) return add(transport, *address, port, "");
        ask_addresses(name);
        if (!facts_.complete()) return;
        if (settings_.ipv6) {
            for (const auto& address : facts_.find({name, DnsType::aaaa})->addresses) add(transport, address, port, name);
        }
        if (settings_.ipv4) {
            for (const auto& address : facts_.find({name, DnsType::a})->addresses) add(transport, address, port, name);
        }
    }

    void add(Transport transport, const net::IpAddress& address, std::uint16_t port, const std::string& name) {
        const Hop hop{transport, {address, port, 0}, name};
        const bool known = std::any_of(out_.hops.begin(), out_.hops.end(), [&](const auto& other) {
            return other.transport == hop.transport && other.endpoint == hop.endpoint;
        });
        if (!known && port != 0 && out_.hops.size() < kMaxHops) out_.hops.push_back(hop);
    }

    Located finished(const std::string& host) {
        if (!out_.hops.empty()) return std::move(out_);
        out_.why = !why_.empty() ? why_ : "no address is known for " + host;
        return std::move(out_);
    }

    const LocateSettings& settings_;
    DnsFacts& facts_;
    net::Random& random_;
    bool secure_ = false;
    std::string why_;
    Located out_;
};

}  // namespace

std::uint16_t default_port(Transport transport) { return transport == Transport::tls ? 5061 : 5060; }

Located locate(const Uri& uri, const LocateSettings& settings, DnsFacts& facts, net::Random& random) {
    if (!uri.is_sip()) return {{}, "'" + uri.scheme + ":' is no SIP URI"};
    return ServerSearch(settings, facts, random).uri(uri);
}

Located locate_response(const Via& via, const LocateSettings& settings, DnsFacts& facts, net::Random& random) {
    return ServerSearch(settings, facts, random).response(via);
}

std::vector<Srv> in_order(std::vector<Srv> records, net::Random& random) {
    // RFC 2782: within a priority those of weight 0 stand first; each turn draws from 0 to the sum of the weights that
    // are left, and takes the first record whose running sum reaches that.
    std::stable_sort(records.begin(), records.end(), [](const Srv& a, const Srv& b) {
        return a.priority != b.priority ? a.priority < b.priority : (a.weight == 0) > (b.weight == 0);
    });
    for (auto first = records.begin(); first != records.end(); ++first) {
        const auto end = std::find_if(first, records.end(), [&](const Srv& r) { return r.priority != first->priority; });
        std::uint64_t sum = 0;
        for (auto r = first; r != end; ++r) sum += r->weight;
        const auto drawn = random.below(sum + 1);
        std::uint64_t running = 0;
        auto chosen = first;
        for (auto r = first; r != end; ++r) {
            running += r->weight;
            chosen = r;
            if (running >= drawn) break;
        }
        std::rotate(first, chosen, chosen + 1);
    }
    return records;
}

}  // namespace voice
