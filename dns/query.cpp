#include "dns/query.hpp"

#include "dns/record.hpp"

namespace dns {
namespace {

constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kMaxAdditional = 4;  // OPT, and what is not known here, such as TSIG

/// False: malformed.
bool read_question(net::Reader& reader, Query& out) {
    const auto before = reader.rest();
    auto name = Name::read(reader);
    if (!name) return false;
    out.name = std::move(*name);
    out.wire_name = net::copy(before.first(before.size() - reader.left()));
    out.type = reader.u16be();
    out.record_class = reader.u16be();
    return reader.ok() && out.type != static_cast<std::uint16_t>(Type::opt);
}

bool read_additional(net::Reader& reader, Query& out) {
    const auto name = Name::read(reader);
    const auto type = reader.u16be(), record_class = reader.u16be();
    const auto ttl = reader.u32be();
    reader.bytes(reader.u16be());
    if (!name || !reader.ok()) return false;
    if (type != static_cast<std::uint16_t>(Type::opt)) return true;
    if (!name->is_root() || out.edns) return false;
    out.edns = Query::Edns{record_class, static_cast<std::uint8_t>(ttl >> 16 & 0xff), (ttl & 0x8000) != 0};
    return true;
}

}  // namespace

Query read_query(net::ByteView message) {
    Query out;
    net::Reader reader(message);
    out.id = reader.u16be();
    const auto flags = reader.u16be();
    const auto questions = reader.u16be(), answers = reader.u16be(), authority = reader.u16be(), additional = reader.u16be();
    if (!may_be_query(message)) {
        out.fault = Query::Fault::not_a_query;
        return out;
    }
    out.opcode = static_cast<std::uint8_t>(flags >> 11 & 0xf);
    out.recursion_desired = (flags & kRecursionDesired) != 0;
    if (out.opcode != 0) {
        out.fault = Query::Fault::not_implemented;
        return out;
    }
    // RFC 9619: one question.
    bool good = message.size() <= kMaxQueryBytes && questions == 1 && answers == 0 && authority == 0 &&
                additional <= kMaxAdditional && read_question(reader, out);
    for (unsigned i = 0; i < additional && good; ++i) good = read_additional(reader, out);
    if (!good || reader.left() > 0) out.fault = Query::Fault::malformed;
    return out;
}

}  // namespace dns
