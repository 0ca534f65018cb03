#include "voice/dns.hpp"

#include <ldns/ldns.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "net/text.hpp"
#include "voice/characters.hpp"

namespace voice {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kMaxAliases = 8;
constexpr std::chrono::seconds kMaxTtl = 24h;
constexpr std::chrono::seconds kMaxNegativeTtl = 1h;   // RFC 2308 section 5: one to three hours work well
constexpr std::chrono::seconds kUnsaidNegativeTtl = 60s;  // without SOA

struct PacketFree {
    void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};

std::chrono::seconds ttl_of(const ldns_rr* record) {
    const auto ttl = ldns_rr_ttl(record);
    return ttl > INT32_MAX ? 0s : std::chrono::seconds(ttl);  // RFC 2181 section 8
}

/// The text of a name on the wire; nullopt where a label holds what no name that we use may hold.
std::optional<std::string> text_of(const ldns_rdf* name) {
    const net::ByteView wire(reinterpret_cast<const std::byte*>(ldns_rdf_data(name)), ldns_rdf_size(name));
    net::Reader reader(wire);
    std::string out;
    for (;;) {
        const auto length = reader.u8();
        const auto label = net::as_text(reader.bytes(length));
        if (!reader.ok() || length > LDNS_MAX_LABELLEN) return std::nullopt;
        if (length == 0) return out;
        for (const char c : label) {
            if (c <= ' ' || c > '~' || c == '.' || c == '\\') return std::nullopt;
        }
        if (!out.empty()) out += '.';
        out += net::to_lower(label);
    }
}

std::optional<std::string> owner_of(const ldns_rr* record) { return text_of(ldns_rr_owner(record)); }

std::uint16_t number(const ldns_rr* record, std::size_t field) {
    return ldns_rdf2native_int16(ldns_rr_rdf(record, field));
}

std::string character_string(const ldns_rr* record, std::size_t field) {
    const auto* rdf = ldns_rr_rdf(record, field);
    net::Reader reader({reinterpret_cast<const std::byte*>(ldns_rdf_data(rdf)), ldns_rdf_size(rdf)});
    return std::string(net::as_text(reader.bytes(reader.u8())));
}

/// False: malformed.
bool take(const ldns_rr* record, DnsType type, DnsAnswer& out) {
    const auto fields = ldns_rr_rd_count(record);
    switch (type) {
        case DnsType::a:
        case DnsType::aaaa: {
            if (fields != 1) return false;
            const auto* rdf = ldns_rr_rdf(record, 0);
            const auto address = net::IpAddress::from_bytes(
                {reinterpret_cast<const std::byte*>(ldns_rdf_data(rdf)), ldns_rdf_size(rdf)});
            if (address.is_none() || address.is_unspecified() || address.is_multicast()) return false;
            out.addresses.push_back(address);
            return true;
        }
        case DnsType::srv: {
            const auto target = fields == 4 ? text_of(ldns_rr_rdf(record, 3)) : std::nullopt;
            if (!target) return false;
            out.srvs.push_back({number(record, 0), number(record, 1), number(record, 2), *target});
            return true;
        }
        case DnsType::naptr: {
            const auto replacement = fields == 6 ? text_of(ldns_rr_rdf(record, 5)) : std::nullopt;
            if (!replacement) return false;
            out.naptrs.push_back({number(record, 0), number(record, 1), character_string(record, 2),
                                  character_string(record, 3), character_string(record, 4), *replacement});
            return true;
        }
    }
    return false;
}

/// RFC 2308 section 5: the lesser of the SOA's own TTL and its MINIMUM.
std::chrono::seconds negative_ttl(const ldns_pkt* packet) {
    const auto* authority = ldns_pkt_authority(packet);
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(authority); ++i) {
        const auto* record = ldns_rr_list_rr(authority, i);
        if (ldns_rr_get_type(record) != LDNS_RR_TYPE_SOA || ldns_rr_rd_count(record) != 7) continue;
        const auto minimum = std::chrono::seconds(ldns_rdf2native_int32(ldns_rr_rdf(record, 6)));
        return std::min({ttl_of(record), minimum, kMaxNegativeTtl});
    }
    return kUnsaidNegativeTtl;
}

bool answers(const ldns_pkt* packet, const DnsQuestion& question) {
    const auto* asked = ldns_pkt_question(packet);
    if (!ldns_pkt_qr(packet) || ldns_pkt_tc(packet) || ldns_rr_list_rr_count(asked) != 1) return false;
    const auto* entry = ldns_rr_list_rr(asked, 0);
    return static_cast<std::uint16_t>(ldns_rr_get_type(entry)) == static_cast<std::uint16_t>(question.type) &&
           ldns_rr_get_class(entry) == LDNS_RR_CLASS_IN && owner_of(entry) == question.name;
}

}  // namespace

std::string_view name_of(DnsType type) {
    switch (type) {
        case DnsType::a: return "A";
        case DnsType::aaaa: return "AAAA";
        case DnsType::srv: return "SRV";
        case DnsType::naptr: return "NAPTR";
    }
    return "";
}

std::optional<DnsAnswer> parse_dns_answer(const DnsQuestion& question, net::ByteView message) {
    ldns_pkt* raw = nullptr;
    if (ldns_wire2pkt(&raw, net::u8(message), message.size()) != LDNS_STATUS_OK) return std::nullopt;
    const std::unique_ptr<ldns_pkt, PacketFree> packet(raw);
    if (!answers(raw, question)) return std::nullopt;
    const auto rcode = ldns_pkt_get_rcode(raw);
    if (rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN) return std::nullopt;

    const auto* records = ldns_pkt_answer(raw);
    const auto count = ldns_rr_list_rr_count(records);
    DnsAnswer out;
    out.ttl = kMaxTtl;
    auto name = question.name;
    for (unsigned alias = 0; alias < kMaxAliases; ++alias) {
        const auto before = name;
        for (std::size_t i = 0; i < count && name == before; ++i) {
            const auto* record = ldns_rr_list_rr(records, i);
            if (ldns_rr_get_type(record) != LDNS_RR_TYPE_CNAME || owner_of(record) != name) continue;
            const auto target = ldns_rr_rd_count(record) == 1 ? text_of(ldns_rr_rdf(record, 0)) : std::nullopt;
            if (!target) return std::nullopt;
            name = *target;
            out.ttl = std::min(out.ttl, ttl_of(record));
        }
        if (name == before) break;
    }
    std::size_t taken = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const auto* record = ldns_rr_list_rr(records, i);
        if (static_cast<std::uint16_t>(ldns_rr_get_type(record)) != static_cast<std::uint16_t>(question.type)) continue;
        if (ldns_rr_get_class(record) != LDNS_RR_CLASS_IN || owner_of(record) != name) continue;
        if (taken == kMaxDnsRecords || !take(record, question.type, out)) {
            ++out.skipped;
            continue;
        }
        ++taken;
        out.ttl = std::min(out.ttl, ttl_of(record));
    }
    out.kind = taken > 0 ? DnsAnswer::Kind::found : DnsAnswer::Kind::nothing;
    if (taken == 0) out.ttl = negative_ttl(raw);
    return out;
}

std::vector<Naptr> in_order(std::vector<Naptr> records) {
    std::stable_sort(records.begin(), records.end(), [](const Naptr& a, const Naptr& b) {
        return std::tie(a.order, a.preference) < std::tie(b.order, b.preference);
    });
    return records;
}

std::optional<std::string> dns_name(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    if (text.empty() || text.size() > 253) return std::nullopt;
    std::size_t label = 0;
    for (const char c : text) {
        if (c == '.') {
            if (label == 0) return std::nullopt;
            label = 0;
            continue;
        }
        const bool fits = is_alnum(c) || c == '-' || c == '_';
        if (!fits || ++label > 63) return std::nullopt;
    }
    return label == 0 ? std::nullopt : std::optional(net::to_lower(text));
}

}  // namespace voice
