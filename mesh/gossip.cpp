#include "mesh/gossip.hpp"

#include <algorithm>

namespace mesh {

/// The ids that begin with `depth_bits` bits of `prefix`, as a run of the roster's order.
struct Gossip::Range {
    using Run = std::map<Hash, const Roster::Entry*>;
    std::uint8_t depth_bits = 0;
    std::uint64_t prefix = 0;
    Run::const_iterator first, last;

    Range(const Run& all, std::uint8_t depth, std::uint64_t from) : depth_bits(depth), prefix(from) {
        const std::uint64_t span = depth == 0 ? 0 : std::uint64_t{1} << (64 - depth);
        first = all.lower_bound(at(from));
        last = span == 0 || from + span == 0 ? all.end() : all.lower_bound(at(from + span));
    }
    bool has_at_most(std::size_t count) const {
        std::size_t seen = 0;
        for (auto entry = first; entry != last; ++entry)
            if (++seen > count) return false;
        return true;
    }
    /// Which of the 64 sub-ranges an id of this range lies in.
    std::size_t child_of(std::uint64_t id) const { return static_cast<std::size_t>(id << depth_bits >> 58); }
    std::uint64_t child_prefix(std::size_t child) const {
        return prefix | std::uint64_t{child} << (58 - depth_bits);
    }
    std::array<std::uint64_t, 64> sums() const {
        std::array<std::uint64_t, 64> out{};
        for (auto entry = first; entry != last; ++entry) out[child_of(short_id(entry->first))] += entry->second->version();
        return out;
    }

    static std::uint64_t short_id(const Hash& id) { return net::Reader(id.view()).u64be(); }
    static Hash at(std::uint64_t prefix) {
        net::Writer out;
        out.u64be(prefix).zeros(24);
        return *Hash::from(out.view());
    }
};

namespace {

std::uint32_t short_version(const Roster::Entry& entry) { return net::Reader(entry.record.id.view()).u32be(); }

/// Those that give others standing first, which are the lowest types, the root's before its admins'. One who has just
/// joined keeps nothing of members that he does not know yet: sent first, that would be all he is ever sent.
void standing_first(std::vector<const Roster::Entry*>& entries, const net::NodeKey& root) {
    const auto rank = [&](const Roster::Entry* entry) {
        return std::pair(entry->record.key.type, entry->record.key.signer != root);
    };
    std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) { return rank(a) < rank(b); });
}

}  // namespace

void Gossip::send(const net::NodeKey& to, const Frame& frame, std::size_t pad_to) {
    output_.push_back({to, encode(frame, pad_to)});
}

void Gossip::send_records(const net::NodeKey& to, const std::vector<const Roster::Entry*>& entries,
                          std::size_t& budget) {
    std::vector<net::ByteView> wires;
    for (const auto* entry : entries) {
        const auto bytes = bytes_in_frames(entry->record.wire.size()) + 4;
        if (bytes > budget) break;
        budget -= bytes;
        wires.emplace_back(entry->record.wire);
    }
    for (const auto& frame : frames_of(wires)) send(to, frame);
    counters_.answered += wires.size();
}

void Gossip::peer_up(const net::NodeKey& peer, net::Now now) {
    auto& state = peers_[peer];
    state = {};
    state.next_exchange = now.steady;
}

/// Something came of it: go on quickly.
void Gossip::progress(Peer& peer, net::Now now) {
    peer.pause = kExchangeEvery;
    peer.next_exchange = std::min(peer.next_exchange, now.steady + kExchangeEvery / 5);
}

void Gossip::heard_summary(const net::NodeKey& key, std::uint64_t summary, net::Now now) {
    const auto found = peers_.find(key);
    if (found == peers_.end()) return;
    auto& peer = found->second;
    if (peer.summary != summary) progress(peer, now);
    peer.summary = summary;
    peer.differs = summary != roster_.summary();
}

void Gossip::push(std::span<const RecordKey> keys) {
    std::vector<net::ByteView> wires;
    for (const auto& key : keys)
        if (const auto* record = roster_.find(key)) wires.emplace_back(record->wire);
    if (wires.empty()) return;
    const auto frames = frames_of(wires);
    for (const auto& [peer, _] : peers_) {
        for (const auto& frame : frames) send(peer, frame);
        counters_.pushed += wires.size();
    }
}

std::vector<Added> Gossip::receive(const net::NodeKey& from, const Frame& frame, std::size_t frame_bytes, net::Now now) {
    const auto found = peers_.find(from);
    if (found == peers_.end()) return {};
    const std::size_t budget = kReplyFactor * frame_bytes;
    if (const auto* digest = std::get_if<Digest>(&frame)) answer(from, *digest, budget);
    if (const auto* inventory = std::get_if<Inventory>(&frame)) answer(from, *inventory, budget);
    if (const auto* want = std::get_if<Want>(&frame)) answer(from, *want, budget);
    if (const auto* records = std::get_if<Records>(&frame)) return merge(from, records->wires, now);
    if (const auto* part = std::get_if<RecordPart>(&frame)) {
        if (const auto whole = found->second.parts.add(*part)) return merge(from, std::span(&*whole, 1), now);
    }
    return {};
}

std::vector<Added> Gossip::merge(const net::NodeKey& from, std::span<const net::Bytes> wires, net::Now now) {
    auto added = roster_.add_all(wires);
    std::vector<net::ByteView> news;
    for (std::size_t i = 0; i < added.size(); ++i) {
        if (added[i].changed) news.emplace_back(wires[i]);
        if (added[i].refused) ++counters_.refused;
    }
    counters_.received += news.size();
    if (news.empty()) return added;
    std::vector<net::NodeKey> others;
    for (auto& [key, peer] : peers_) {
        if (key != from) others.push_back(key);
        peer.differs = peer.summary != roster_.summary();
    }
    if (const auto found = peers_.find(from); found != peers_.end()) progress(found->second, now);
    const auto frames = frames_of(news);
    for (std::size_t i = 0; i < std::min(kFanout, others.size()); ++i) {
        std::swap(others[i], others[i + random_.below(others.size() - i)]);
        for (const auto& frame : frames) send(others[i], frame);
        counters_.pushed += news.size();
    }
    return added;
}

/// Everything in a range if that fits, else its sums.
Frame Gossip::describe(const Range& range) const {
    if (!range.has_at_most(kMaxInventory) && range.depth_bits < 54) return Digest{range.depth_bits, range.prefix, range.sums()};
    Inventory inventory{range.depth_bits, range.prefix, {}};
    for (auto entry = range.first; entry != range.last && inventory.items.size() < kMaxInventory; ++entry) {
        inventory.items.push_back({Range::short_id(entry->first), entry->second->record.sequence,
                                   short_version(*entry->second),
                                   static_cast<std::uint16_t>(entry->second->record.wire.size())});
    }
    return inventory;
}

void Gossip::answer(const net::NodeKey& from, const Digest& digest, std::size_t budget) {
    const Range range(roster_.by_id(), digest.depth_bits, digest.prefix);
    const auto sums = range.sums();
    if (sums == digest.sums) {
        if (digest.depth_bits == 0) send(from, Ping{0, roster_.summary(), true});  // we are even: tell so
        return;
    }
    std::vector<Frame> frames;
    if (range.has_at_most(kMaxInventory) || range.depth_bits == 54) {
        frames.push_back(describe(range));
    } else {
        const std::size_t start = random_.below(64);  // what does not fit today comes another time
        for (std::size_t i = 0; i < 64; ++i) {
            const std::size_t child = (start + i) % 64;
            if (sums[child] == digest.sums[child]) continue;
            frames.push_back(describe(Range(roster_.by_id(), static_cast<std::uint8_t>(digest.depth_bits + 6),
                                            range.child_prefix(child))));
        }
    }
    for (const auto& frame : frames) {
        auto bytes = encode(frame, kAskBytes);
        if (bytes.size() > budget) break;
        budget -= bytes.size();
        output_.push_back({from, std::move(bytes)});
    }
}

void Gossip::answer(const net::NodeKey& from, const Inventory& inventory, std::size_t budget) {
    const Range range(roster_.by_id(), inventory.depth_bits, inventory.prefix);
    std::map<std::uint64_t, const Inventory::Item*> theirs;
    for (const auto& item : inventory.items) theirs.emplace(item.key, &item);
    std::vector<const Roster::Entry*> they_lack;
    for (auto entry = range.first; entry != range.last; ++entry) {
        const auto found = theirs.find(Range::short_id(entry->first));
        if (found == theirs.end()) {
            they_lack.push_back(entry->second);
            continue;
        }
        const auto& item = *found->second;
        const auto mine = std::pair(entry->second->record.sequence, short_version(*entry->second));
        if (mine > std::pair(item.sequence, item.version)) they_lack.push_back(entry->second);
        if (mine >= std::pair(item.sequence, item.version)) theirs.erase(found);
    }
    if (they_lack.empty() && theirs.empty() && inventory.depth_bits == 0) {
        send(from, Ping{0, roster_.summary(), true});  // we are even: tell so
        return;
    }
    // Half of what may be answered for what they lack, as long as we lack something too.
    std::size_t for_them = theirs.empty() ? budget : budget / 2;
    budget -= for_them;
    standing_first(they_lack, roster_.mesh_id());
    send_records(from, they_lack, for_them);
    budget += for_them;
    // Each question asks for what kReplyFactor lets it.
    Want want;
    std::size_t expected = 0;
    const auto ask = [&] {
        auto bytes = encode(want, expected / kReplyFactor + 1);
        if (!want.keys.empty() && bytes.size() <= budget) {
            budget -= bytes.size();
            output_.push_back({from, std::move(bytes)});
        }
        want.keys.clear();
        expected = 0;
    };
    for (const auto& [key, item] : theirs) {
        const auto bytes = bytes_in_frames(std::min<std::size_t>(item->bytes, kMaxRecordBytes)) + 4;
        if (expected + bytes > kReplyFactor * (kMaxFrameBytes - 8)) ask();
        want.keys.push_back(key);
        expected += bytes;
    }
    ask();
}

void Gossip::answer(const net::NodeKey& from, const Want& want, std::size_t budget) {
    std::vector<const Roster::Entry*> entries;
    for (const auto key : want.keys) {
        const auto found = roster_.by_id().lower_bound(Range::at(key));
        if (found != roster_.by_id().end() && Range::short_id(found->first) == key) entries.push_back(found->second);
    }
    standing_first(entries, roster_.mesh_id());
    send_records(from, entries, budget);
}

void Gossip::tick(net::Now now) {
    for (auto& [key, peer] : peers_) {
        if (!peer.differs || now.steady < peer.next_exchange) continue;
        if (peer.summary == roster_.summary()) {
            peer.differs = false;
            continue;
        }
        send(key, describe(Range(roster_.by_id(), 0, 0)), kAskBytes);
        ++counters_.exchanges;
        peer.next_exchange = now.steady + peer.pause;
        peer.pause = std::min<net::Duration>(2 * peer.pause, kExchangeAtMost);
    }
    if (now.steady < next_anti_entropy_ || peers_.empty()) return;
    next_anti_entropy_ = now.steady + kAntiEntropyEvery;
    send(std::next(peers_.begin(), static_cast<std::ptrdiff_t>(random_.below(peers_.size())))->first,
         Ping{0, roster_.summary(), true});
}

net::Steady Gossip::next_deadline() const {
    if (peers_.empty()) return net::kNever;
    auto next = next_anti_entropy_;
    for (const auto& [_, peer] : peers_)
        if (peer.differs) next = std::min(next, peer.next_exchange);
    return next;
}

}  // namespace mesh
