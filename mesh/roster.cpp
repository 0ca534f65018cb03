#include "mesh/roster.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "mesh/view.hpp"

namespace mesh {
namespace {

bool is_nodes_own(RecordType type) { return type == RecordType::node || type == RecordType::bindings; }
/// What a record says that it is, unchecked. Nullopt if it cannot say.
std::optional<RecordKey> claimed_key(net::ByteView wire) {
    net::Reader reader(wire);
    reader.u8();  // format
    const auto type = reader.u8();
    const auto subject = reader.bytes(reader.u8());
    reader.u64be();  // sequence
    const auto signer = net::NodeKey::from(reader.bytes(32));
    if (!reader.ok() || !signer) return std::nullopt;
    return RecordKey{static_cast<RecordType>(type), std::string(net::as_text(subject)), *signer};
}
/// Whether a record of that type decides whose other records are kept.
bool gives_standing(RecordType type) { return type == RecordType::member || type == RecordType::revocation; }

}  // namespace

/// Records that come together: one answer for each, and what settling them has to know.
struct Roster::Merge {
    explicit Merge(std::size_t records) : out(records), ids(records) {}
    std::vector<Added> out;
    std::vector<Hash> ids;
    bool standing_may_change = false, view_may_change = false;
};

Roster::Roster(const net::NodeKey& mesh_id, Bounds bounds) : mesh_id_(mesh_id), bounds_(bounds) {
    view_ = view_of(mesh_id_, entries_, admins_, time_);
}

Added Roster::add(net::ByteView wire) {
    const net::Bytes one = net::copy(wire);
    return add_all(std::span(&one, 1)).front();
}

Added Roster::add_own(Record record) {
    Merge merge(1);
    consider(std::move(record), 0, merge);
    return conclude(std::move(merge)).front();
}

std::vector<Added> Roster::add_all(std::span<const net::Bytes> wires) {
    Merge merge(wires.size());
    for (std::size_t i = 0; i < wires.size(); ++i) {
        // Gossip brings most records several times: one that is kept as it is needs no second look at its signature.
        if (const auto key = claimed_key(wires[i])) {
            const auto same = entries_.find(*key);
            if (same != entries_.end() && same->second.record.wire == wires[i]) {
                merge.out[i].key = *key;
                continue;
            }
        }
        auto opened = open_record(mesh_id_, wires[i]);
        if (const auto* refusal = std::get_if<Refusal>(&opened)) {
            merge.out[i].refused = *refusal;
            continue;
        }
        consider(std::move(std::get<Record>(opened)), i, merge);
    }
    return conclude(std::move(merge));
}

// What gives or lacks standing goes into waiting_ first and settle() takes out what has it, so the order is nothing.
void Roster::consider(Record record, std::size_t at, Merge& merge) {
    auto& out = merge.out[at];
    out.key = record.key;
    merge.ids[at] = record.id;
    auto body = decode(record.key, record.body());
    out.refused = body ? refused_by_itself(record, *body) : Refusal::malformed;
    if (out.refused) return;
    const auto kept = entries_.find(record.key);
    if (kept != entries_.end() && !record.newer_than(kept->second.record)) {
        if (kept->second.record.id != record.id) out.refused = Refusal::superseded;
        return;
    }
    out.changed = true;  // unless settling leaves it out
    merge.view_may_change |= record.key.type != RecordType::bindings;
    const bool settled = !gives_standing(record.key.type) && !refused_by_standing(record.key);
    if (settled) {
        keep(std::move(record), std::move(*body));
    } else {
        merge.standing_may_change = true;
        waiting_.push_back({std::move(record), std::move(*body)});
    }
}

std::vector<Added> Roster::conclude(Merge merge) {
    if (merge.standing_may_change) settle();
    for (std::size_t i = 0; i < merge.out.size(); ++i) {
        auto& out = merge.out[i];
        if (!out.changed) continue;
        const auto kept = entries_.find(out.key);
        out.changed = kept != entries_.end() && kept->second.record.id == merge.ids[i];
        if (out.changed) continue;
        out.refused = refused_by_standing(out.key);
        if (!out.refused) out.refused = kept == entries_.end() ? Refusal::too_many : Refusal::superseded;
    }
    bound_waiting();
    view_stale_ |= merge.view_may_change;
    return std::move(merge.out);
}

const View& Roster::view() const {
    if (!std::exchange(view_stale_, false)) return view_;
    auto view = view_of(mesh_id_, entries_, admins_, time_);
    if (view != view_) {
        view_ = std::move(view);
        view_changed_ = true;
    }
    return view_;
}

/// What is wrong with a record whoever else is in the mesh.
std::optional<Refusal> Roster::refused_by_itself(const Record& record, const Body& body) const {
    const auto& key = record.key;
    const bool root = key.signer == mesh_id_;
    switch (key.type) {
        case RecordType::member: {
            const auto& member = std::get<Member>(body);
            if (member.roles.has(Role::admin) && !root) return Refusal::only_root;
            if (member.stock && (member.roles.bits != 0 || net::as_text(member.tunnel_key.view()) != key.subject))
                return Refusal::malformed;
            return std::nullopt;
        }
        case RecordType::revocation:
            if (key.subject == net::as_text(mesh_id_.view())) return Refusal::only_root;
            return std::nullopt;
        case RecordType::invitation:
            if (std::get<Invitation>(body).roles.has(Role::admin) && !root) return Refusal::only_root;
            return std::nullopt;
        case RecordType::policy:
        case RecordType::user: return std::nullopt;
        case RecordType::node:
        case RecordType::bindings:
            if (!key.subject.starts_with(net::as_text(key.signer.view()))) return Refusal::not_its_own;
            return std::nullopt;
    }
    return std::nullopt;
}

std::optional<Refusal> Roster::refused_by_standing(const RecordKey& key) const {
    if (key.signer == mesh_id_) return is_nodes_own(key.type) ? std::optional(Refusal::not_member) : std::nullopt;
    if (root_revoked_.contains(key.signer)) return Refusal::revoked;
    if (is_nodes_own(key.type)) {
        if (revoked_.contains(key.signer)) return Refusal::revoked;
        if (!members_.contains(key.signer)) return Refusal::not_member;
        return std::nullopt;
    }
    if (!admins_.contains(key.signer)) return Refusal::not_admin;
    return std::nullopt;
}

void Roster::keep(Record record, Body body) {
    const auto key = record.key;
    const auto found = entries_.find(key);
    if (found != entries_.end()) {
        if (!record.newer_than(found->second.record)) return;
        summary_ -= found->second.version();
        found->second.record = std::move(record);
        found->second.body = std::move(body);
        summary_ += found->second.version();
        changed_.push_back(key);
        return;
    }
    auto& subjects = subjects_[{key.type, key.signer}];
    if (subjects.size() >= bound(key.type)) {
        // Which ones are kept must not depend on who came first: the lowest subjects are.
        const auto last = std::prev(subjects.end());
        if (key.subject > *last) return;
        erase(entries_.find({key.type, *last, key.signer}));
    }
    const auto id = key.id();
    const auto [entry, _] = entries_.emplace(key, Entry{std::move(record), std::move(body), id});
    by_id_.emplace(id, &entry->second);
    summary_ += entry->second.version();
    subjects.insert(key.subject);
    changed_.push_back(key);
}

void Roster::erase(Entries::iterator entry) {
    const auto key = entry->first;
    by_id_.erase(entry->second.key_id);
    summary_ -= entry->second.version();
    subjects_[{key.type, key.signer}].erase(key.subject);
    changed_.push_back(key);
    entries_.erase(entry);
}

void Roster::learn_standing() {
    for (auto entry = entries_.lower_bound({RecordType::revocation, "", {}});
         entry != entries_.end() && entry->first.type == RecordType::revocation; ++entry)
        if (entry->first.signer == mesh_id_) root_revoked_.insert(*node_key(entry->first.subject));
    admins_ = admins_of(mesh_id_, entries_, root_revoked_);
    members_.clear();
    revoked_.clear();
    for (const auto& [key, revocation] : revocations_of(mesh_id_, entries_, admins_)) revoked_.insert(key);
    for (auto entry = entries_.begin(); entry != entries_.end() && entry->first.type == RecordType::member; ++entry) {
        const bool counts = entry->first.signer == mesh_id_ || admins_.contains(entry->first.signer);
        if (counts && !std::get<Member>(entry->second.body).stock) members_.insert(*node_key(entry->first.subject));
    }
}

// The root's records stand by themselves, admins' by the root's, nodes' by admins': each round makes one more layer
// exact, so this ends after a few, and always with the same set.
void Roster::settle() {
    for (bool moved = true; moved;) {
        moved = false;
        learn_standing();
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            const auto here = entry++;
            if (!refused_by_standing(here->first)) continue;
            if (!root_revoked_.contains(here->first.signer))
                waiting_.push_back({here->second.record, here->second.body});
            erase(here);
            moved = true;
        }
        std::vector<Waiting> left;
        for (auto& waiting : waiting_) {
            const auto refused = refused_by_standing(waiting.record.key);
            if (!refused) {
                keep(std::move(waiting.record), std::move(waiting.body));
                moved = true;
            } else if (!root_revoked_.contains(waiting.record.key.signer)) {
                left.push_back(std::move(waiting));
            }
        }
        waiting_ = std::move(left);
    }
}

void Roster::bound_waiting() {
    std::map<net::NodeKey, std::size_t> of_one;
    std::size_t all = 0;
    std::set<Hash> seen;
    std::vector<Waiting> kept;
    for (auto waiting = waiting_.rbegin(); waiting != waiting_.rend(); ++waiting) {  // the latest stay
        if (all == bounds_.waiting || of_one[waiting->record.key.signer] == bounds_.waiting_of_one) continue;
        if (!seen.insert(waiting->record.id).second) continue;
        ++all;
        ++of_one[waiting->record.key.signer];
        kept.push_back(std::move(*waiting));
    }
    std::reverse(kept.begin(), kept.end());
    waiting_ = std::move(kept);
}

std::size_t Roster::bound(RecordType type) const {
    switch (type) {
        case RecordType::member: return bounds_.members;
        case RecordType::revocation: return bounds_.revocations;
        case RecordType::invitation: return bounds_.invitations;
        case RecordType::policy: return bounds_.policies;
        case RecordType::user: return bounds_.users;
        case RecordType::node: return 1;
        case RecordType::bindings: return 256;
    }
    return 0;
}

bool Roster::take_view_changed() {
    (void)view();
    return std::exchange(view_changed_, false);
}
std::vector<RecordKey> Roster::take_changed() {
    std::sort(changed_.begin(), changed_.end());
    changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
    return std::exchange(changed_, {});
}

const Record* Roster::find(const RecordKey& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second.record;
}

template <class Each>
void Roster::for_each_signer(RecordType type, std::string_view subject, Each each) const {
    for (auto entry = entries_.lower_bound({type, std::string(subject), {}});
         entry != entries_.end() && entry->first.type == type && entry->first.subject == subject; ++entry)
        each(entry->second.record);
}

const Record* Roster::counting(RecordType type, std::string_view subject) const {
    const Record* best = nullptr;
    const auto about = node_key(subject);
    const bool roots_affair = type == RecordType::member && about && admins_.contains(*about);
    for_each_signer(type, subject, [&](const Record& record) {
        if (roots_affair && record.key.signer != mesh_id_) return;
        if (best == nullptr || record.newer_than(*best)) best = &record;
    });
    return best;
}

std::uint64_t Roster::next_sequence(RecordType type, std::string_view subject, const net::NodeKey* without) const {
    std::uint64_t last = 0;
    for_each_signer(type, subject, [&](const Record& record) {
        if (without == nullptr || record.key.signer != *without) last = std::max(last, record.sequence);
    });
    return last == UINT64_MAX ? last : last + 1;
}

void Roster::set_time(std::optional<net::Wall> trusted) {
    (void)view();
    time_ = trusted;
    for (auto& [_, member] : view_.members) {
        const bool expired =
            time_ && member.says.valid_until != 0 && net::unix_seconds(*time_) > member.says.valid_until;
        if (expired != member.expired) view_changed_ = true;
        member.expired = expired;
    }
}

bool Roster::may_bind(const net::NodeKey& node, std::string_view aor) const {
    const auto* member = view().member(node);
    const auto user = view().users.find(std::string(aor));
    if (member == nullptr || member->expired || !member->says.roles.has(Role::voice) || user == view().users.end())
        return false;
    const auto& nodes = user->second.says.nodes;
    return user->second.says.any_node || std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

std::vector<net::NodeKey> Roster::nodes_for(std::string_view aor, const ClockOf& clock_of) const {
    std::vector<net::NodeKey> out;
    if (!view().users.contains(std::string(aor))) return out;
    const auto user = user_id(aor);
    const char shard = static_cast<char>(shard_of(aor));
    for (const auto& [key, member] : view().members) {
        if (!may_bind(key, aor)) continue;
        const auto entry = entries_.find({RecordType::bindings, as_subject(key.view()) + shard, key});
        if (entry == entries_.end()) continue;
        const auto& bindings = std::get<Bindings>(entry->second.body).bindings;
        const auto now = net::unix_seconds(clock_of(key));
        const auto told = std::lower_bound(bindings.begin(), bindings.end(), Binding{user, 0});
        if (told != bindings.end() && told->user == user && told->until > now) out.push_back(key);
    }
    return out;
}

std::vector<Roster::BoundUser> Roster::bound_users(net::Wall now) const {
    std::unordered_map<std::uint64_t, std::vector<std::pair<net::NodeKey, std::int64_t>>> nodes_of;
    for (auto entry = entries_.lower_bound({RecordType::bindings, {}, {}});
         entry != entries_.end() && entry->first.type == RecordType::bindings; ++entry) {
        for (const auto& binding : std::get<Bindings>(entry->second.body).bindings)
            if (binding.until > net::unix_seconds(now)) nodes_of[binding.user].emplace_back(entry->first.signer, binding.until);
    }
    std::vector<BoundUser> out;
    for (const auto& [aor, _] : view().users) {
        const auto found = nodes_of.find(user_id(aor));
        if (found == nodes_of.end()) continue;
        for (const auto& [node, until] : found->second)
            if (may_bind(node, aor)) out.push_back({node, aor, until});
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::vector<SealedVoiceKey> Roster::voice_keys_of(const net::NodeKey& node) const {
    std::vector<SealedVoiceKey> out;
    const auto subject = std::string(kVoiceKeyPolicy) + as_subject(node.view());
    for (auto entry = entries_.lower_bound({RecordType::policy, subject, {}});
         entry != entries_.end() && entry->first.type == RecordType::policy && entry->first.subject == subject; ++entry)
        out.push_back(std::get<SealedVoiceKey>(entry->second.body));
    return out;
}

}  // namespace mesh
