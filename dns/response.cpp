#include "dns/response.hpp"

#include <ldns/ldns.h>

#include <memory>
#include <new>

namespace dns {
namespace {

struct PacketFree {
    void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
struct RecordFree {
    void operator()(ldns_rr* record) const { ldns_rr_free(record); }
};
using Packet = std::unique_ptr<ldns_pkt, PacketFree>;
using Rr = std::unique_ptr<ldns_rr, RecordFree>;

// A library that has no memory left gives null.
template <class T>
T* there(T* pointer) {
    if (pointer == nullptr) throw std::bad_alloc();
    return pointer;
}

ldns_rdf* field(ldns_rdf_type type, net::ByteView bytes) {
    return there(ldns_rdf_new_frm_data(type, bytes.size(), bytes.data()));
}
ldns_rdf* field(const Name& name) { return field(LDNS_RDF_TYPE_DNAME, name.wire()); }
ldns_rdf* field(std::uint16_t value) { return there(ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, value)); }
ldns_rdf* field(std::uint32_t value) { return there(ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, value)); }
ldns_rdf* field(const std::string& text) {
    net::Writer out;
    out.u8(static_cast<std::uint8_t>(text.size())).bytes(net::as_bytes(text));
    return field(LDNS_RDF_TYPE_STR, out.view());
}
ldns_rdf* field(const net::IpAddress& address) {
    return field(address.is_v4() ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA, address.bytes());
}

/// Appends the fields of a record's data.
struct Fields {
    ldns_rr* to;
    template <class... Values>
    void put(const Values&... values) const {
        (ldns_rr_push_rdf(to, field(values)), ...);
    }
    void operator()(const net::IpAddress& address) const { put(address); }
    void operator()(const Name& name) const { put(name); }
    void operator()(const Soa& soa) const {
        put(soa.primary, soa.mailbox, soa.serial, kRefreshS, kRetryS, kExpireS, kNegativeTtlS);
    }
    void operator()(const Srv& srv) const { put(srv.priority, srv.weight, srv.port, srv.target); }
    void operator()(const Naptr& naptr) const {
        put(naptr.order, naptr.preference, naptr.flags, naptr.services, naptr.regexp, naptr.replacement);
    }
    void operator()(const Here&) const {}
};

Rr empty_record(ldns_rdf* owner, std::uint16_t type, std::uint16_t record_class) {
    Rr out(there(ldns_rr_new()));
    ldns_rr_set_owner(out.get(), owner);
    ldns_rr_set_type(out.get(), static_cast<ldns_rr_type>(type));
    ldns_rr_set_class(out.get(), static_cast<ldns_rr_class>(record_class));
    return out;
}

Rr question_of(const Query& query) {
    auto out = empty_record(field(LDNS_RDF_TYPE_DNAME, query.wire_name), query.type, query.record_class);
    ldns_rr_set_question(out.get(), true);
    return out;
}

/// The owner as it was asked, where it is that: the name is then a pointer to the question, in the question's case.
Rr to_rr(const Record& record, const Query& query) {
    auto* owner = record.owner == query.name ? field(LDNS_RDF_TYPE_DNAME, query.wire_name) : field(record.owner);
    auto out = empty_record(owner, static_cast<std::uint16_t>(record.type), LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(out.get(), record.ttl_s);
    std::visit(Fields{out.get()}, record.data);
    return out;
}

void push(ldns_pkt* packet, ldns_pkt_section section, Rr record) {
    if (!ldns_pkt_push_rr(packet, section, record.get())) throw std::bad_alloc();
    (void)record.release();
}

Packet packet_for(const Query& query, Rcode rcode) {
    Packet out(there(ldns_pkt_new()));
    auto* packet = out.get();
    const auto code = static_cast<std::uint8_t>(rcode);
    ldns_pkt_set_id(packet, query.id);
    ldns_pkt_set_qr(packet, true);
    ldns_pkt_set_rd(packet, query.recursion_desired);
    ldns_pkt_set_aa(packet, rcode == Rcode::no_error || rcode == Rcode::no_name);
    ldns_pkt_set_rcode(packet, code & 0xf);
    if (query.edns) {
        ldns_pkt_set_edns_udp_size(packet, 1232);
        ldns_pkt_set_edns_extended_rcode(packet, code >> 4);
        ldns_pkt_set_edns_do(packet, query.edns->dnssec_ok);  // RFC 3225 section 3
    }
    push(packet, LDNS_SECTION_QUESTION, question_of(query));
    return out;
}

net::Bytes wire_of(const ldns_pkt* packet) {
    std::uint8_t* data = nullptr;
    std::size_t size = 0;
    if (ldns_pkt2wire(&data, packet, &size) != LDNS_STATUS_OK) return {};
    const std::unique_ptr<std::uint8_t, decltype(&std::free)> owner(data, &std::free);
    return net::copy(std::as_bytes(std::span(data, size)));
}

net::Bytes message(const Query& query, Rcode rcode, const Found& found, bool with_additional) {
    const auto packet = packet_for(query, rcode);
    for (const auto& record : found.records) push(packet.get(), LDNS_SECTION_ANSWER, to_rr(record, query));
    if (found.soa) push(packet.get(), LDNS_SECTION_AUTHORITY, to_rr(*found.soa, query));
    if (with_additional) {
        for (const auto& record : found.additional) push(packet.get(), LDNS_SECTION_ADDITIONAL, to_rr(record, query));
    }
    return wire_of(packet.get());
}

}  // namespace

Built build(const Query& query, Rcode rcode, const Found& found, std::size_t limit) {
    for (const bool with_additional : {true, false}) {
        if (!with_additional && found.additional.empty()) break;
        auto whole = message(query, rcode, found, with_additional);
        if (!whole.empty() && whole.size() <= limit) return {std::move(whole), false};
    }
    const auto packet = packet_for(query, rcode);
    ldns_pkt_set_tc(packet.get(), true);
    return {wire_of(packet.get()), true};
}

net::Bytes header_only(const Query& query, Rcode rcode) {
    net::Writer out;
    const unsigned flags = 0x8000U | query.opcode << 11 | (query.recursion_desired ? 0x0100U : 0U) | static_cast<unsigned>(rcode);
    out.u16be(query.id).u16be(static_cast<std::uint16_t>(flags)).zeros(8);
    return out.take();
}

}  // namespace dns
