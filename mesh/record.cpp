#include "mesh/record.hpp"

#include <stdexcept>

namespace mesh {
namespace {

constexpr std::uint8_t kRecordFormat = 1;
constexpr std::size_t kSignatureBytes = 64;
constexpr std::string_view kRecordLabel = "meshd record 1";

net::Bytes signed_bytes(const net::NodeKey& mesh_id, net::ByteView unsigned_part) {
    net::Writer out;
    out.bytes(net::as_bytes(kRecordLabel)).bytes(mesh_id.view()).bytes(unsigned_part);
    return out.take();
}

bool is_type(std::uint8_t type) {
    return type >= static_cast<std::uint8_t>(RecordType::member) && type <= static_cast<std::uint8_t>(RecordType::bindings);
}

std::size_t body_offset(std::size_t subject_bytes) { return 1 + 1 + 1 + subject_bytes + 8 + 32 + 2; }

}  // namespace

std::string_view text(Refusal refusal) {
    switch (refusal) {
        case Refusal::malformed: return "not a record that this meshd knows: who signed it may run a newer one";
        case Refusal::too_large: return "larger than 2048 bytes";
        case Refusal::too_deep: return "nested deeper than 8 levels";
        case Refusal::bad_signature: return "its signature does not hold in this mesh";
        case Refusal::not_admin: return "signed by no admin of this mesh: an admin has to sign it again";
        case Refusal::only_root: return "only the root of the mesh may sign that: do it where the mesh was made";
        case Refusal::not_member: return "signed by no member of this mesh: it needs a new invitation from an admin";
        case Refusal::not_its_own: return "a node may speak only for itself";
        case Refusal::revoked: return "its signer has been revoked: another admin has to sign it again, or to invite anew";
        case Refusal::superseded: return "older than the one known";
        case Refusal::too_many: return "its signer has too many records of that type: remove what is not needed, or sign on another admin node";
        case Refusal::invitation_unknown: return "this mesh knows no such invitation: ask an admin for a new one (meshctl invite)";
        case Refusal::invitation_expired: return "the invitation has expired: ask an admin for a new one (meshctl invite)";
        case Refusal::invitation_used: return "the invitation has been used by another node: ask an admin for a new one (meshctl invite)";
        case Refusal::invitation_revoked: return "the invitation has been revoked or replaced: ask an admin for a new one (meshctl invite)";
        case Refusal::name_taken: return "a member of that name exists: ask an admin for an invitation under another name (meshctl invite)";
    }
    return "refused";
}

Hash RecordKey::id() const {
    const std::byte kind{static_cast<std::uint8_t>(type)};
    return blake2s({net::as_bytes("meshd record key 1"), net::ByteView(&kind, 1), signer.view(), net::as_bytes(subject)});
}

net::ByteView Record::body() const {
    const auto offset = body_offset(key.subject.size());
    return net::ByteView(wire).subspan(offset, wire.size() - offset - kSignatureBytes);
}

std::variant<Record, Refusal> open_record(const net::NodeKey& mesh_id, net::ByteView wire) {
    if (wire.size() > kMaxRecordBytes) return Refusal::too_large;
    net::Reader reader(wire);
    const auto format = reader.u8();
    const auto type = reader.u8();
    const auto subject = reader.bytes(reader.u8());
    Record record;
    record.sequence = reader.u64be();
    const auto signer = net::NodeKey::from(reader.bytes(32));
    const auto body = reader.bytes(reader.u16be());
    const auto signature = Signature::from(reader.bytes(kSignatureBytes));
    if (!reader.at_end() || format != kRecordFormat || !is_type(type) || !signer || !signature) return Refusal::malformed;
    if (subject.empty() || subject.size() > kMaxSubjectBytes) return Refusal::malformed;
    switch (check_cbor(body)) {
        case CborShape::good: break;
        case CborShape::malformed: return Refusal::malformed;
        case CborShape::too_deep: return Refusal::too_deep;
    }
    const auto statement = signed_bytes(mesh_id, wire.first(wire.size() - kSignatureBytes));
    if (!verify(*signer, statement, *signature)) return Refusal::bad_signature;
    record.key = {static_cast<RecordType>(type), std::string(net::as_text(subject)), *signer};
    record.wire = net::copy(wire);
    record.id = blake2s({statement});
    return record;
}

Record sign_record(const net::NodeKey& mesh_id, const net::NodeSecret& signer, RecordType type, std::string subject,
                   std::uint64_t sequence, net::ByteView body) {
    const std::size_t total = body_offset(subject.size()) + body.size() + kSignatureBytes;
    if (total > kMaxRecordBytes || subject.empty() || subject.size() > kMaxSubjectBytes)
        throw std::length_error("a record of " + std::to_string(total) + " bytes; 2048 is the most");
    Record record;
    record.key = {type, std::move(subject), public_key(signer)};
    record.sequence = sequence;
    net::Writer out;
    out.u8(kRecordFormat).u8(static_cast<std::uint8_t>(type)).u8(static_cast<std::uint8_t>(record.key.subject.size()));
    out.bytes(net::as_bytes(record.key.subject)).u64be(sequence).bytes(record.key.signer.view());
    out.u16be(static_cast<std::uint16_t>(body.size())).bytes(body);
    const auto statement = signed_bytes(mesh_id, out.view());
    record.id = blake2s({statement});
    out.bytes(sign(signer, statement).view());
    record.wire = out.take();
    return record;
}

}  // namespace mesh
