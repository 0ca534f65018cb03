#include "dns/respond.hpp"

#include <algorithm>

#include "dns/response.hpp"

namespace dns {
namespace {

constexpr std::uint16_t kClassIn = 1;  // RFC 1035 section 3.2.4

std::size_t most_bytes(const Query& query, bool by_tcp) {
    if (by_tcp) return kTcpBytes;
    if (!query.edns) return kUdpBytes;
    return std::clamp<std::size_t>(query.edns->udp_bytes, kUdpBytes, kEdnsUdpBytes);
}

bool is_transfer(std::uint16_t type) {
    return type == static_cast<std::uint16_t>(Type::axfr) || type == static_cast<std::uint16_t>(Type::ixfr);
}

Response to_good_query(const Zones& zones, const Query& query, const Asked& asked) {
    if (query.edns && query.edns->version > 0) return {Outcome::malformed, build(query, Rcode::bad_version, {}, kUdpBytes).message};
    Found found;
    if (query.record_class == kClassIn && !is_transfer(query.type)) {
        found = zones.find(query.name, static_cast<Type>(query.type), asked.to, asked.numbers);
    }
    const auto limit = most_bytes(query, asked.by_tcp);
    switch (found.kind) {
        case Found::Kind::not_ours: return {Outcome::refused, build(query, Rcode::refused, {}, limit).message};
        case Found::Kind::no_name: return {Outcome::nothing, build(query, Rcode::no_name, found, limit).message};
        case Found::Kind::no_data: return {Outcome::nothing, build(query, Rcode::no_error, found, limit).message};
        case Found::Kind::records: break;
    }
    auto built = build(query, Rcode::no_error, found, limit);
    return {built.truncated ? Outcome::truncated : Outcome::answered, std::move(built.message)};
}

}  // namespace

std::string_view name_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::answered: return "answered";
        case Outcome::nothing: return "nothing";
        case Outcome::truncated: return "truncated";
        case Outcome::refused: return "refused";
        case Outcome::malformed: return "malformed";
        case Outcome::dropped: return "dropped";
    }
    return "";
}

Response respond(const Zones& zones, const Asked& asked) {
    const auto query = read_query(asked.message);
    switch (query.fault) {
        case Query::Fault::not_a_query: return {};
        case Query::Fault::malformed: return {Outcome::malformed, header_only(query, Rcode::malformed)};
        case Query::Fault::not_implemented: return {Outcome::malformed, header_only(query, Rcode::not_implemented)};
        case Query::Fault::none: break;
    }
    return to_good_query(zones, query, asked);
}

}  // namespace dns
