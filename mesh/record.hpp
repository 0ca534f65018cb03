/// A record: what members of a mesh must agree on, in an envelope that its signer has signed.
///
///   u8 format (1) | u8 type | u8 length, subject | u64 sequence | signer (32) | u16 length, body (CBOR) | signature (64)
///
/// All integers are big-endian. Signed is everything before the signature, behind a label and the mesh id: a record of
/// one mesh is nothing in another. The signed bytes are kept verbatim, and they alone are a record's identity: a second
/// signature over them makes no second record.
#pragma once

#include <string>
#include <variant>

#include "mesh/crypto.hpp"

namespace mesh {

inline constexpr std::size_t kMaxRecordBytes = 2048;  ///< envelope, body and signature
inline constexpr std::size_t kMaxSubjectBytes = 128;
inline constexpr unsigned kMaxNesting = 8;  ///< of a body; checked before anything decodes it

enum class RecordType : std::uint8_t {
    member = 1,      ///< subject: node key (of a stock peer: its tunnel key); signed by an admin
    revocation = 2,  ///< subject: a public key that is out, for good; signed by an admin (of admins: by the root only)
    invitation = 3,  ///< subject: the X25519 key of a token; signed by an admin
    policy = 4,      ///< subject: which one; signed by an admin; opaque to the roster
    user = 5,        ///< subject: address of record, "bob@acme.example"; signed by an admin
    node = 6,        ///< subject: its signer's node key
    bindings = 7,    ///< subject: its signer's node key and one byte, the shard
};

/// Why a record, a token or a newcomer is refused. `text()` is for people.
enum class Refusal : std::uint8_t {
    malformed,           ///< not a record, or its body is not what its type wants
    too_large,
    too_deep,
    bad_signature,       ///< also a record of another mesh: the mesh id is under the signature
    not_admin,           ///< signed by no admin of this mesh
    only_root,           ///< an admin may not do that: only the root
    not_member,          ///< signed by no member of this mesh
    not_its_own,         ///< a node's record about another node
    revoked,             ///< its signer is out
    superseded,          ///< an older one than we have
    too_many,            ///< its signer has more records of that type than we keep
    invitation_unknown,
    invitation_expired,
    invitation_used,
    invitation_revoked,
    name_taken,
};
std::string_view text(Refusal refusal);

/// Where a record belongs: one is kept for each.
struct RecordKey {
    RecordType type{};
    std::string subject;  ///< bytes
    net::NodeKey signer;

    auto operator<=>(const RecordKey&) const = default;
    /// 32 bytes that name the key: what the store indexes by and gossip compares.
    Hash id() const;
};

struct Record {
    RecordKey key;
    std::uint64_t sequence = 0;
    net::Bytes wire;  ///< the whole record, as it was received or signed
    Hash id;          ///< of the signed bytes

    net::ByteView body() const;  ///< borrowed from `wire`
    /// Of two records with one key, whether this one is kept.
    bool newer_than(const Record& other) const {
        return sequence != other.sequence ? sequence > other.sequence : id > other.id;
    }
};

/// Reads the envelope and checks size, nesting and signature; the body is checked to be one CBOR item of the kinds we
/// use (no tags, floats or indefinite lengths), and not decoded.
std::variant<Record, Refusal> open_record(const net::NodeKey& mesh_id, net::ByteView wire);
/// Signs a record. The body must be CBOR and the whole within kMaxRecordBytes.
Record sign_record(const net::NodeKey& mesh_id, const net::NodeSecret& signer, RecordType type, std::string subject,
                   std::uint64_t sequence, net::ByteView body);

/// Whether `body` is exactly one CBOR item (RFC 8949) of integers, strings, arrays, maps, booleans and null, with
/// definite lengths and at most `max_nesting` levels. Uses no memory and no recursion.
enum class CborShape : std::uint8_t { good, malformed, too_deep };
CborShape check_cbor(net::ByteView body, unsigned max_nesting = kMaxNesting);

}  // namespace mesh
