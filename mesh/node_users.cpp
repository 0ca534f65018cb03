// Users, their credentials under the voice key, and this node's bindings.
#include <algorithm>

#include "mesh/clock_step.hpp"
#include "mesh/node.hpp"
#include "net/wiped.hpp"

namespace mesh {
namespace {

constexpr std::string_view kVoiceKeyDomain = "meshd voice key 1";

net::Bytes credentials_of(std::string_view aor) { return net::copy(net::as_bytes("meshd credentials 1 " + std::string(aor))); }

std::uint64_t milliseconds(net::Wall at) {
    const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
    return count < 0 ? 0 : static_cast<std::uint64_t>(count);
}

bool reads_credentials(const KnownMember& member) {
    return member.says.roles.has(Role::voice) || member.says.roles.has(Role::admin);
}

}  // namespace

// The voice key.

std::optional<VoiceKey> Node::open_voice_key(std::uint64_t id) const {
    const auto all = roster_.voice_keys_of(key_);
    // Those that were replaced or fell with their signer open nothing any more.
    std::erase_if(opened_voice_keys_, [&](const auto& opened) {
        return std::none_of(all.begin(), all.end(), [&](const auto& sealed) {
            return sealed.id == opened.first && sealed.sealed == opened.second.sealed;
        });
    });
    if (const auto opened = opened_voice_keys_.find(id); opened != opened_voice_keys_.end()) return opened->second.key;
    for (const auto& sealed : all) {
        if (sealed.id != id) continue;
        auto plain = unseal(identity_.tunnel_secret, kVoiceKeyDomain, sealed.sealed);
        if (!plain) continue;
        const net::WipedAtEnd wiped(*plain);
        if (plain->size() != VoiceKey::size()) continue;
        const VoiceKey key{std::span<const std::byte, 32>(*plain)};
        opened_voice_keys_.insert_or_assign(id, OpenedVoiceKey{sealed.sealed, key});
        return key;
    }
    return std::nullopt;
}

std::optional<std::pair<std::uint64_t, VoiceKey>> Node::newest_voice_key() const {
    const auto* record = roster_.counting(RecordType::policy, std::string(kVoiceKeyPolicy) + as_subject(key_.view()));
    if (record == nullptr) return std::nullopt;
    const auto body = decode(record->key, record->body());
    const auto id = std::get<SealedVoiceKey>(*body).id;
    auto key = open_voice_key(id);
    return key ? std::optional(std::pair(id, *key)) : std::nullopt;
}

Record Node::seal_voice_key(std::uint64_t id, const VoiceKey& key, const net::NodeKey& to,
                            const net::TunnelKey& tunnel_key, const net::NodeKey* without) const {
    const SealedVoiceKey sealed{id, seal(tunnel_key, kVoiceKeyDomain, key.view(), random_)};
    return sign_as_admin(RecordType::policy, std::string(kVoiceKeyPolicy) + as_subject(to.view()), sealed,
                         identity_.root_secret.has_value(), without);
}

/// A node that could read credentials is out: a new key for the others, and everybody's credentials under it. What the
/// node has read it has read, so those passwords must change all the same.
void Node::renew_voice_key(const net::NodeKey& without, std::vector<Record>& records, Revoked& revoked) {
    const auto* member = view().member(without);
    if (member == nullptr || !reads_credentials(*member)) return;
    VoiceKey key;
    random_.fill(key.fill());
    const auto id = random_.u64() | 1;
    for (const auto& [other, says] : view().members)
        if (other != without && !says.says.stock && reads_credentials(says))
            records.push_back(seal_voice_key(id, key, other, says.says.tunnel_key, &without));
    for (const auto& [_, known] : view().users) {
        const auto& aor = known.aor;
        if (known.says.credentials.empty()) continue;
        revoked.passwords_to_change.push_back(aor);
        auto plain = credentials(aor);
        if (!plain) continue;
        const net::WipedAtEnd wiped(*plain);
        const auto* record = roster_.counting(RecordType::user, aor);
        auto user = std::get<User>(*decode(record->key, record->body()));  // with all the numbers it claims
        user.voice_key = id;
        user.credentials = encrypt(key, credentials_of(aor), *plain, random_);
        // It may be among what stands again: this one is the later.
        std::erase_if(records, [&](const Record& one) { return one.key.type == RecordType::user && one.key.subject == aor; });
        auto signed_anew = sign_as_admin(RecordType::user, aor, user, identity_.root_secret.has_value(), &without);
        records.push_back(std::move(signed_anew));
    }
}

std::optional<net::Bytes> Node::credentials(std::string_view aor) const {
    const auto user = view().users.find(std::string(aor));
    if (user == view().users.end() || user->second.says.credentials.empty()) return std::nullopt;
    const auto key = open_voice_key(user->second.says.voice_key);
    if (!key) return std::nullopt;
    return decrypt(*key, credentials_of(aor), user->second.says.credentials);
}

// Users.

net::Result<void> Node::put_user(const UserRequest& request, net::Now now) {
    if (const auto may = may_administer(); !may) return may;
    const auto aor = normal_aor(request.aor);
    if (!aor) return net::fail("\"" + request.aor + "\" is no address of record: write it as bob@acme.example");
    User user;
    const auto known = view().users.find(*aor);
    user.since = known == view().users.end() ? net::unix_seconds(now.wall) : known->second.says.since;
    for (const auto& number : request.numbers) {
        if (!is_number(number)) return net::fail("\"" + number + "\" is no number: write +390461123456 or an extension");
        const auto taken = view().numbers.find(number);
        if (taken != view().numbers.end() && taken->second != *aor)
            return net::fail("the number " + number + " belongs to " + taken->second);
        user.numbers.push_back(number);
    }
    for (const auto& name : request.nodes) {
        if (name == "any") {
            user.any_node = true;
            continue;
        }
        const auto* member = view().by_name(name);
        if (member == nullptr) return net::fail("no member is called " + name);
        if (!member->says.roles.has(Role::voice)) return net::fail(name + " is no voice node");
        user.nodes.push_back(member->key);
    }
    user.any_node |= request.nodes.empty();
    std::vector<Record> records;
    if (!request.credentials.empty()) {
        auto key = newest_voice_key();
        if (!key) {
            key.emplace(random_.u64() | 1, VoiceKey{});
            random_.fill(key->second.fill());
            for (const auto& [other, says] : view().members)
                if (!says.says.stock && reads_credentials(says))
                    records.push_back(seal_voice_key(key->first, key->second, other, says.says.tunnel_key));
        }
        user.voice_key = key->first;
        user.credentials = encrypt(key->second, credentials_of(*aor), request.credentials, random_);
    }
    records.push_back(sign_as_admin(RecordType::user, *aor, user));
    return adopt(std::move(records), now);
}

net::Result<void> Node::remove_user(const std::string& text, net::Now now) {
    if (const auto may = may_administer(); !may) return may;
    const auto aor = normal_aor(text);
    if (!aor || !view().users.contains(*aor)) return net::fail("no user is called " + text);
    User user;
    user.removed = true;
    return adopt({sign_as_admin(RecordType::user, *aor, user)}, now);
}

// Bindings.

namespace {

constexpr std::int64_t kExtendWithin_s = 30;  ///< the longest that a shard waits for more of its phones to come by
constexpr std::int64_t kExtendAhead_s = 15;   ///< for the record to reach everybody before the old one's end

}  // namespace

const std::vector<Binding>& Node::signed_bindings(std::uint8_t shard) const {
    static const std::vector<Binding> kNone;
    const auto entry = roster_.entries().find({RecordType::bindings, as_subject(key_.view()) + static_cast<char>(shard), key_});
    return entry == roster_.entries().end() ? kNone : std::get<Bindings>(entry->second.body).bindings;
}

void Node::set_binding(const std::string& aor, std::optional<std::int64_t> until, net::Now now) {
    if (normal_aor(aor) != aor || (until && *until < 0)) return;
    if (clock_step_s(seen_, now) != 0) drain(now);  // `until` is by the new clock, the others are not yet
    const auto user = user_id(aor);
    const auto shard = shard_of(aor);
    auto& here = bindings_[shard];
    const bool known = here.contains(user);
    if (!until) {
        here.erase(user);
        if (known) shards_to_sign_.insert(shard);
        return;
    }
    here[user] = *until;
    if (!known) {
        shards_to_sign_.insert(shard);
        return;
    }
    const auto& there = signed_bindings(shard);
    const auto told = std::lower_bound(there.begin(), there.end(), Binding{user, 0});
    if (told == there.end() || told->user != user) {  // it was over when its shard was signed
        shards_to_sign_.insert(shard);
        return;
    }
    if (told->until >= *until) return;
    const auto wait_s = std::clamp<std::int64_t>(told->until - kExtendAhead_s - net::unix_seconds(now.wall), 0, kExtendWithin_s);
    const auto by = now.steady + std::chrono::seconds(wait_s);
    const auto [waits, is_new] = shards_to_extend_.try_emplace(shard, by);
    if (!is_new) waits->second = std::min(waits->second, by);
    next_extension_ = std::min(next_extension_, waits->second);
}

net::Steady Node::bindings_deadline() const {
    if (!shards_to_sign_.empty()) return next_bindings_;
    return next_extension_ == net::kNever ? net::kNever : std::max(next_extension_, next_bindings_);
}

/// Signs the shards that have changed, as many as one turn may: the urgent ones first.
void Node::publish_bindings(net::Now now) {
    constexpr auto kPerShard = net::Duration(std::chrono::seconds(1)) / kShardsPerSecond;
    constexpr std::size_t kAtOnce = kShards / 4;
    next_extension_ = net::kNever;
    for (auto one = shards_to_extend_.begin(); one != shards_to_extend_.end();) {
        if (one->second <= now.steady) shards_to_sign_.insert(one->first);
        if (shards_to_sign_.contains(one->first)) {
            one = shards_to_extend_.erase(one);
            continue;
        }
        next_extension_ = std::min(next_extension_, one->second);
        ++one;
    }
    std::size_t count = 0;
    for (; !shards_to_sign_.empty() && count < kAtOnce; shards_to_sign_.erase(shards_to_sign_.begin())) {
        const auto shard = *shards_to_sign_.begin();
        if (standing_ != Standing::member) continue;
        Bindings body;
        if (const auto found = bindings_.find(shard); found != bindings_.end()) {
            const auto latest = net::unix_seconds(now.wall) + Bindings::kSpan_s;
            for (const auto& [user, until] : found->second) {
                // It is over; and one of before the clock was set would cut all the others short (Bindings::kSpan_s).
                if (until <= net::unix_seconds(now.wall)) continue;
                if (body.bindings.size() == Bindings::kMost) break;  // this office has more than 30,000 phones
                body.bindings.push_back({user, std::min(until, latest)});
            }
        }
        if (body.bindings == signed_bindings(shard)) continue;
        ++count;
        const auto subject = as_subject(key_.view()) + static_cast<char>(shard);
        const auto sequence = std::max(roster_.next_sequence(RecordType::bindings, subject), milliseconds(now.wall));
        publish(sign_record(identity_.mesh_id, identity_.node_secret, RecordType::bindings, subject, sequence, encode(body)), now);
    }
    next_bindings_ = now.steady + std::max<net::Duration>(kBindingsEvery, count * kPerShard);
    if (count > 0) events_.push_back(BindingsChanged{});
}

}  // namespace mesh
