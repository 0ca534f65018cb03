/// What this node answers with authority, and what is there under each name.
///
///   MESH                     the mesh's zone: SOA, NS; NODE.MESH: A, AAAA of each member in the overlay
///   ns.SELF.MESH             this server, as who asks reaches it: the address to which the question came
///   sip.SELF.MESH            this office, as phones reach it: the same, or what is known of that
///   DOMAIN                   NAPTR (RFC 3263) of the voice domain: UDP, TCP, and TLS where phones may come by that
///   _sip._udp.DOMAIN, ...    SRV: sip.SELF.MESH first, then NODE.MESH of other offices, the best first; they
///                            are zones while there is no office, too
///   D.I.G.I.T.S.e164.MESH    NAPTR (RFC 6116) of the mesh's numbers, and under other suffixes that were given
///   ...in-addr.arpa, ip6     PTR of the overlay's addresses
///
/// A voice domain outside the mesh's zone may well be a public one, whose other names (mail, web) are not known here. So
/// only its SRV names are zones here, and at the domain itself only NAPTR is answered; all else there is not ours. There
/// are no wildcards, aliases or cuts, and nothing is asked of anybody else.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "dns/record.hpp"

namespace dns {

/// E.164 digits, address of record; sorted, each digits once.
using Numbers = std::vector<std::pair<std::string, std::string>>;

/// What zones are made of.
struct Contents {
    struct Host {
        std::string label;
        std::vector<net::IpAddress> addresses;
    };
    /// Another node with phones, and the ports by which they come; 0: not by that.
    struct Office {
        std::string label;
        std::uint16_t udp_port = 0, tcp_port = 0, tls_port = 0;
        bool operator==(const Office&) const = default;
    };
    std::string mesh;                     ///< "acme.internal"
    std::string self;                     ///< label of this node
    std::vector<Host> hosts;              ///< all members, this node too
    std::vector<net::Prefix> networks;    ///< of the overlay
    std::string voice_domain;             ///< empty: no voice in this mesh
    bool is_office = false;               ///< phones may come to this node
    std::vector<net::IpAddress> phones_reach;  ///< where they reach it; none: at the address to which the question came
    std::vector<Office> offices;          ///< the best first; of each transport kMaxOffices count
    std::uint16_t sip_port = 5060;        ///< of this node, UDP and TCP
    std::optional<std::uint16_t> sips_port;  ///< where phones may come to it by TLS
    std::shared_ptr<const Numbers> numbers;  ///< shared with whoever has made them; null: none
    std::vector<std::string> number_suffixes;  ///< besides e164.MESH
    std::uint32_t serial = 0;
};

struct Found {
    enum class Kind : std::uint8_t {
        records,
        no_data,  ///< the name is there, or some name below it, but no such record
        no_name,
        not_ours
    };
    Kind kind = Kind::not_ours;
    std::vector<Record> records;     ///< all of the name that was asked
    std::vector<Record> additional;  ///< addresses of the records' targets
    std::optional<Record> soa;       ///< with no_data and no_name
};

class Zones {
public:
    static constexpr std::size_t kMaxOffices = 4;
    static constexpr std::uint32_t kNodeTtlS = 30, kVoiceTtlS = 10;  ///< offices come and go

    Zones() = default;
    /// Names that cannot be (too long) are left out.
    explicit Zones(Contents contents);

    /// `here`: the address to which the question came, perhaps none. Without `numbers` no number is answered, nor whether
    /// there is one: Kind::not_ours.
    Found find(const Name& name, Type type, const net::IpAddress& here, bool numbers = true) const;
    /// Every record of a name, for people: with Here as it is.
    std::vector<Record> all(const Name& name) const;
    std::vector<Name> apexes() const { return {apexes_.begin(), apexes_.end()}; }
    const Contents& contents() const { return contents_; }
    const Numbers& numbers() const;

private:
    void add(std::optional<Name> owner, Type type, std::uint32_t ttl_s, decltype(Record::data) data);
    void add_zone(const Name& apex);
    void add_hosts(const Name& mesh);
    void add_voice(const Name& mesh);
    /// `own_port` 0: not at this node.
    void add_service(const Name& domain, const Name& mesh, const char* service, const char* transport, std::uint16_t own_port,
                     std::uint16_t Contents::Office::*office_port);
    /// Of the apexes that `name` is within the lowest; nullptr: none.
    const Name* apex_of(const Name& name) const;
    bool has_below(const Name& name) const;
    /// Nullopt: `name` is no place for a number. Else the digits, in the order in which they are dialled.
    std::optional<std::string> digits_of(const Name& name) const;
    std::optional<Record> number(const Name& name, const std::string& digits) const;
    bool has_number_from(const std::string& digits) const;
    Record soa(const Name& apex) const;
    /// ns.SELF.MESH, where that is no longer than a name may be.
    std::optional<Name> server() const;
    /// What Here stands for: as a forwarding resolver on this machine asks for others, never loopback.
    std::vector<net::IpAddress> reached_at(const net::IpAddress& here) const;

    Contents contents_;
    std::set<Name> apexes_;
    std::size_t most_apex_labels_ = 0;
    std::vector<Name> suffixes_;
    std::optional<Name> outside_domain_;  ///< the voice domain, where no zone holds it
    std::map<Name, std::vector<Record>> records_;
};

}  // namespace dns
