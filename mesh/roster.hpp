/// The roster: the set of records that a node holds, and what counts of it.
///
/// Merging is a set union. Kept per (type, subject, signer) is the highest (sequence, hash of the signed bytes). What
/// counts (`view()`) is a pure function of that set, so members that hold the same set see the same mesh, whatever order
/// it came in:
///   1. the root counts; an admin counts while the root's member record for it says so and the root has not revoked it
///   2. a revocation counts if its signer does (of an admin: the root's only)
///   3. a member counts if its signer does and no revocation of its node or tunnel key counts; the root's word on an
///      admin goes first, then the highest (sequence, hash)
///   4. of two claims to one tunnel key, name, address or number the lower (valid from, key) wins
/// Records of a signer that the root has revoked are dropped for good; those of a signer that is (not yet) an admin
/// wait, bounded, outside the set.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <memory>
#include <set>

#include "mesh/bodies.hpp"

namespace mesh {

struct KnownMember {
    net::NodeKey key;     ///< of a stock peer: its tunnel key's bytes
    Member says;          ///< name and addresses only as far as its claims have won
    net::NodeKey signer;
    bool expired = false; ///< under the time last given to set_time
    std::optional<NodeInfo> node;  ///< its own word, if any
    bool operator==(const KnownMember&) const = default;
};
struct KnownInvitation {
    net::TunnelKey key;
    Invitation says;
    bool revoked = false;
    std::optional<net::NodeKey> spent_by;
    bool operator==(const KnownInvitation&) const = default;
};
struct KnownUser {
    std::string aor;
    User says;  ///< numbers only as far as its claims have won
    net::NodeKey signer;
    bool operator==(const KnownUser&) const = default;
};

/// What counts. Ordered by key.
struct View {
    std::map<net::NodeKey, KnownMember> members;
    std::set<net::NodeKey> admins;  ///< the root and every admin; signers that count
    std::map<net::NodeKey, Revocation> revoked;  ///< node, tunnel and invitation keys, as bytes
    std::map<net::NodeKey, Member> gone;         ///< revoked members, as they were (for `meshctl members`)
    std::map<net::TunnelKey, KnownInvitation> invitations;
    std::map<std::string, KnownUser> users;
    std::map<std::string, std::string> numbers;  ///< number -> address of record
    std::optional<MeshPolicy> mesh;
    bool operator==(const View&) const = default;

    const KnownMember* member(const net::NodeKey& key) const;
    const KnownMember* by_tunnel_key(const net::TunnelKey& key) const;
    const KnownMember* by_name(std::string_view name) const;
    const KnownMember* by_address(const net::IpAddress& address) const;
    bool is_revoked(net::ByteView key) const;
};

/// What became of a record that was added.
struct Added {
    bool changed = false;  ///< it is in the set now and was not before
    std::optional<Refusal> refused;
    RecordKey key;  ///< valid if the record could be opened
};

class Roster {
public:
    /// Each is the number of one signer's records of a type that are kept: those with the lowest subjects.
    struct Bounds {
        std::size_t members = 4096, revocations = 8192, invitations = 1024, policies = 8192, users = 65536;
        std::size_t waiting = 512, waiting_of_one = 64;
    };

    explicit Roster(const net::NodeKey& mesh_id) : Roster(mesh_id, Bounds{}) {}
    Roster(const net::NodeKey& mesh_id, Bounds bounds);

    const net::NodeKey& mesh_id() const { return mesh_id_; }

    /// Checks and merges one record. A refused one leaves the set as it was.
    Added add(net::ByteView wire);
    /// One that sign_record() has just made on this node: merged as any other, but nobody looks at its signature.
    Added add_own(Record record);
    /// Many at once, in any order: what is stored, a bundle. One answer each.
    std::vector<Added> add_all(std::span<const net::Bytes> wires);

    /// Worked out when it is asked for: it costs by the size of the roster, and a bundle is many records. The reference is
    /// good until the next record is added.
    const View& view() const;
    /// Whether `view()` has changed since last asked.
    bool take_view_changed();
    /// Keys of the records that came in, were replaced or were dropped since last asked: what the store must write.
    std::vector<RecordKey> take_changed();

    const Record* find(const RecordKey& key) const;
    /// The kept record that counts for (type, subject), over all signers that count.
    const Record* counting(RecordType type, std::string_view subject) const;
    /// One more than every sequence of (type, subject) here: what supersedes them all, but for those of a signer `without`
    /// whose records are about to go (it may have used the highest there is).
    std::uint64_t next_sequence(RecordType type, std::string_view subject, const net::NodeKey* without = nullptr) const;

    struct Entry {
        Record record;
        Body body;
        Hash key_id;
        std::uint64_t version() const { return net::Reader(record.id.view()).u64be(); }
    };
    using Entries = std::map<RecordKey, Entry>;
    const Entries& entries() const { return entries_; }
    /// The sum of all record ids' first 8 bytes: equal sets have equal sums.
    std::uint64_t summary() const { return summary_; }
    /// Order of gossip: by key id, so that a prefix of it is a range.
    const std::map<Hash, const Entry*>& by_id() const { return by_id_; }

    /// The time under which expiry is told (see clock_trust.hpp); nullopt: nothing expires.
    void set_time(std::optional<net::Wall> trusted);

    /// Bindings that count: of voice members, for users that may register there, not yet over at `now`.
    bool may_bind(const net::NodeKey& node, std::string_view aor) const;
    /// The time is asked for each node, as its own clock shows it.
    using ClockOf = std::function<net::Wall(const net::NodeKey&)>;
    std::vector<net::NodeKey> nodes_for(std::string_view aor, const ClockOf& clock_of) const;
    struct BoundUser {
        net::NodeKey node;
        std::string aor;
        std::int64_t until = 0;  ///< Unix seconds
        auto operator<=>(const BoundUser&) const = default;
    };
    /// All of them, ordered. For people: it goes through every user.
    std::vector<BoundUser> bound_users(net::Wall now) const;

    /// Every sealed voice key for `node` that a signer who counts has put in.
    std::vector<SealedVoiceKey> voice_keys_of(const net::NodeKey& node) const;

private:
    struct Merge;
    void consider(Record record, std::size_t at, Merge& merge);
    std::vector<Added> conclude(Merge merge);
    std::optional<Refusal> refused_by_itself(const Record& record, const Body& body) const;
    std::optional<Refusal> refused_by_standing(const RecordKey& key) const;
    template <class Each>
    void for_each_signer(RecordType type, std::string_view subject, Each each) const;
    void keep(Record record, Body body);
    void erase(Entries::iterator entry);
    void learn_standing();
    void settle();
    void bound_waiting();
    std::size_t bound(RecordType type) const;

    net::NodeKey mesh_id_;
    Bounds bounds_;
    Entries entries_;
    std::map<Hash, const Entry*> by_id_;
    std::uint64_t summary_ = 0;
    std::map<std::pair<RecordType, net::NodeKey>, std::set<std::string>> subjects_;  ///< of each signer
    struct Waiting {
        Record record;
        Body body;
    };
    std::vector<Waiting> waiting_;

    // Who may say what, learnt from the set.
    std::set<net::NodeKey> root_revoked_;
    std::set<net::NodeKey> admins_;    ///< without the root
    std::set<net::NodeKey> members_;   ///< subjects of member records, not stock
    std::set<net::NodeKey> revoked_;   ///< every key whose revocation counts

    std::vector<RecordKey> changed_;
    std::optional<net::Wall> time_;
    mutable View view_;
    mutable bool view_stale_ = false, view_changed_ = false;
};

}  // namespace mesh
