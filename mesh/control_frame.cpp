#include "mesh/control_frame.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace mesh {
namespace {

constexpr std::uint8_t kFrameFormat = 1;
constexpr std::size_t kMaxReason = 300;
constexpr unsigned kNeverFragment = 0x80, kCarriesBulk = 0x40;  // of Relayed, beside its kind
constexpr std::size_t kRecordHead = 2;       // length in front of each record in a Records frame
constexpr std::size_t kPartHead = 8 + 1 + 1;  // of a RecordPart
constexpr std::size_t kPartBytes = kMaxFrameBody - kPartHead;

enum class FrameType : std::uint8_t {
    hello = 1, ping = 2, path_challenge = 3, leaving = 4, digest = 5, inventory = 6, want = 7, records = 8,
    record_part = 9, join_request = 10, join_reply = 11, mtu_probe = 12, train_probe = 13,
    punch = 14, relayed = 15, birthday = 16,
};

void put(net::Writer& out, const net::Endpoint& endpoint) {
    out.u8(static_cast<std::uint8_t>(endpoint.address.bytes().size())).bytes(endpoint.address.bytes()).u16be(endpoint.port);
}
std::optional<net::Endpoint> get_endpoint(net::Reader& in) {
    const std::size_t size = in.u8();
    if (size != 0 && size != 4 && size != 16) return std::nullopt;
    net::Endpoint endpoint;
    endpoint.address = net::IpAddress::from_bytes(in.bytes(size));
    endpoint.port = in.u16be();
    return endpoint;
}
void put(net::Writer& out, const std::vector<net::Bytes>& wires) {
    for (const auto& wire : wires) out.u16be(static_cast<std::uint16_t>(wire.size())).bytes(wire);
}
/// Up to the end of `in`.
std::optional<std::vector<net::Bytes>> get_wires(net::Reader& in) {
    std::vector<net::Bytes> wires;
    while (in.ok() && in.left() > 0) wires.push_back(net::copy(in.bytes(in.u16be())));
    return in.ok() ? std::optional(std::move(wires)) : std::nullopt;
}
template <class Key>
void get(net::Reader& in, Key& key) {
    const auto bytes = in.bytes(key.bytes.size());
    if (bytes.size() == key.bytes.size()) std::copy(bytes.begin(), bytes.end(), key.bytes.begin());
}

struct Put {
    net::Writer& out;

    FrameType operator()(const Hello& f) const {
        out.u64be(f.nonce).u64be(f.acknowledged).u16be(f.version).u32be(f.capabilities);
        out.u64be(static_cast<std::uint64_t>(f.wall)).u8(static_cast<std::uint8_t>((f.synchronised ? 1 : 0) | (f.answer_wanted ? 2 : 0)));
        put(out, f.observed);
        out.u64be(f.summary);
        return FrameType::hello;
    }
    FrameType operator()(const Ping& f) const {
        out.u64be(f.token).u64be(f.summary).u8(f.reply ? 1 : 0);
        return FrameType::ping;
    }
    FrameType operator()(const PathChallenge& f) const {
        out.u64be(f.token).u8(f.reply ? 1 : 0);
        if (f.reply) put(out, f.observed);
        return FrameType::path_challenge;
    }
    FrameType operator()(const TrainProbe& f) const {
        out.u64be(f.token).u8(static_cast<std::uint8_t>(f.kind)).u8(f.train).u8(f.alone);
        return FrameType::train_probe;
    }
    FrameType operator()(const MtuProbe& f) const {
        out.u64be(f.token).u16be(f.bytes).u8(f.reply ? 1 : 0);
        return FrameType::mtu_probe;
    }
    FrameType operator()(const Leaving&) const { return FrameType::leaving; }
    FrameType operator()(const Punch& f) const {
        out.u8(f.answer_wanted ? 1 : 0).u8(static_cast<std::uint8_t>(f.candidates.size()));
        for (const auto& one : f.candidates) {
            put(out, one.endpoint);
            out.u8(one.found);
        }
        return FrameType::punch;
    }
    FrameType operator()(const Birthday& f) const {
        out.u8(static_cast<std::uint8_t>(f.kind));
        put(out, f.at);
        return FrameType::birthday;
    }
    FrameType operator()(const Relayed& f) const {
        out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(f.kind) | (f.never_fragment ? kNeverFragment : 0U) | (f.bulk ? kCarriesBulk : 0U)));
        out.bytes(f.member.view()).bytes(f.message);
        return FrameType::relayed;
    }
    FrameType operator()(const Digest& f) const {
        out.u8(f.depth_bits).u64be(f.prefix);
        for (const auto sum : f.sums) out.u64be(sum);
        return FrameType::digest;
    }
    FrameType operator()(const Inventory& f) const {
        out.u8(f.depth_bits).u64be(f.prefix).u8(static_cast<std::uint8_t>(f.items.size()));
        for (const auto& item : f.items) out.u64be(item.key).u64be(item.sequence).u32be(item.version).u16be(item.bytes);
        return FrameType::inventory;
    }
    FrameType operator()(const Want& f) const {
        out.u8(static_cast<std::uint8_t>(f.keys.size()));
        for (const auto key : f.keys) out.u64be(key);
        return FrameType::want;
    }
    FrameType operator()(const Records& f) const {
        put(out, f.wires);
        return FrameType::records;
    }
    FrameType operator()(const RecordPart& f) const {
        out.u64be(f.id).u8(f.index).u8(f.count).bytes(f.bytes);
        return FrameType::record_part;
    }
    FrameType operator()(const JoinRequest& f) const {
        out.u64be(f.id).bytes(f.node_key.view()).bytes(f.tunnel_key.view()).bytes(f.handshake.view());
        out.bytes(f.signature.view()).bytes(f.invitation.view());
        out.bytes(f.token_key.view()).bytes(f.token_signature.view());
        return FrameType::join_request;
    }
    FrameType operator()(const JoinReply& f) const {
        const auto reason = std::string_view(f.reason).substr(0, kMaxReason);
        out.u64be(f.id).u8(static_cast<std::uint8_t>((f.admitted ? 1 : 0) | (f.retry ? 2 : 0)));
        out.u16be(static_cast<std::uint16_t>(reason.size())).bytes(net::as_bytes(reason)).u8(f.index).u8(f.count);
        put(out, f.wires);
        return FrameType::join_reply;
    }
};

bool is_range(std::uint8_t depth_bits, std::uint64_t prefix) {
    if (depth_bits > 54 || depth_bits % 6 != 0) return false;
    return depth_bits == 0 ? prefix == 0 : (prefix << depth_bits) == 0;
}

std::optional<Frame> get_frame(FrameType type, net::Reader& in) {
    switch (type) {
        case FrameType::hello: {
            Hello f;
            f.nonce = in.u64be();
            f.acknowledged = in.u64be();
            f.version = in.u16be();
            f.capabilities = in.u32be();
            f.wall = static_cast<std::int64_t>(in.u64be() & INT64_MAX);
            const auto flags = in.u8();
            f.synchronised = (flags & 1) != 0;
            f.answer_wanted = (flags & 2) != 0;
            const auto observed = get_endpoint(in);
            if (!observed) return std::nullopt;
            f.observed = *observed;
            f.summary = in.u64be();
            in.bytes(in.ok() ? in.left() : 0);  // a later version may say more
            return f;
        }
        case FrameType::ping: {
            Ping f;
            f.token = in.u64be();
            f.summary = in.u64be();
            f.reply = in.u8() == 1;
            return f;
        }
        case FrameType::path_challenge: {
            PathChallenge f;
            f.token = in.u64be();
            f.reply = in.u8() == 1;
            if (f.reply && in.left() > 0) {
                const auto observed = get_endpoint(in);
                if (!observed) return std::nullopt;
                f.observed = *observed;
            }
            return f;
        }
        case FrameType::mtu_probe: {
            MtuProbe f;
            f.token = in.u64be();
            f.bytes = in.u16be();
            f.reply = in.u8() == 1;
            return f;
        }
        case FrameType::train_probe: {
            TrainProbe f;
            f.token = in.u64be();
            const auto kind = in.u8();
            if (kind > static_cast<std::uint8_t>(TrainProbe::Kind::counts)) return std::nullopt;
            f.kind = static_cast<TrainProbe::Kind>(kind);
            f.train = in.u8();
            f.alone = in.u8();
            return f;
        }
        case FrameType::leaving: return Leaving{};
        case FrameType::punch: {
            Punch f;
            f.answer_wanted = in.u8() == 1;
            const std::size_t count = in.u8();
            if (count > kMaxPunch) return std::nullopt;
            for (std::size_t i = 0; i < count; ++i) {
                const auto endpoint = get_endpoint(in);
                if (!endpoint) return std::nullopt;
                f.candidates.push_back({*endpoint, in.u8()});
            }
            in.bytes(in.ok() ? in.left() : 0);
            return f;
        }
        case FrameType::birthday: {
            Birthday f;
            const auto kind = in.u8();
            const auto at = get_endpoint(in);
            if (kind > static_cast<std::uint8_t>(Birthday::Kind::open) || !at) return std::nullopt;
            f.kind = static_cast<Birthday::Kind>(kind);
            f.at = *at;
            in.bytes(in.ok() ? in.left() : 0);
            return f;
        }
        case FrameType::relayed: {
            Relayed f;
            const auto kind = in.u8();
            const auto without = static_cast<std::uint8_t>(kind & ~(kNeverFragment | kCarriesBulk));
            if (without > static_cast<std::uint8_t>(Relayed::Kind::no_way)) return std::nullopt;
            f.kind = static_cast<Relayed::Kind>(without);
            f.never_fragment = (kind & kNeverFragment) != 0;
            f.bulk = (kind & kCarriesBulk) != 0;
            get(in, f.member);
            f.message = net::copy(in.bytes(in.ok() ? in.left() : 0));
            return f;
        }
        case FrameType::digest: {
            Digest f;
            f.depth_bits = in.u8();
            f.prefix = in.u64be();
            for (auto& sum : f.sums) sum = in.u64be();
            in.bytes(in.ok() ? in.left() : 0);
            if (!is_range(f.depth_bits, f.prefix)) return std::nullopt;
            return f;
        }
        case FrameType::inventory: {
            Inventory f;
            f.depth_bits = in.u8();
            f.prefix = in.u64be();
            const std::size_t count = in.u8();
            if (count > kMaxInventory || !is_range(f.depth_bits, f.prefix)) return std::nullopt;
            f.items.resize(count);
            for (auto& item : f.items) {
                item.key = in.u64be();
                item.sequence = in.u64be();
                item.version = in.u32be();
                item.bytes = in.u16be();
            }
            in.bytes(in.ok() ? in.left() : 0);
            return f;
        }
        case FrameType::want: {
            Want f;
            f.keys.resize(in.u8());
            for (auto& key : f.keys) key = in.u64be();
            in.bytes(in.ok() ? in.left() : 0);
            return f;
        }
        case FrameType::records: {
            auto wires = get_wires(in);
            if (!wires) return std::nullopt;
            return Records{std::move(*wires)};
        }
        case FrameType::record_part: {
            RecordPart f;
            f.id = in.u64be();
            f.index = in.u8();
            f.count = in.u8();
            f.bytes = net::copy(in.bytes(in.left()));
            if (f.count < 2 || f.count > 2 || f.index >= f.count) return std::nullopt;
            return f;
        }
        case FrameType::join_request: {
            JoinRequest f;
            f.id = in.u64be();
            get(in, f.node_key);
            get(in, f.tunnel_key);
            get(in, f.handshake);
            get(in, f.signature);
            get(in, f.invitation);
            get(in, f.token_key);
            get(in, f.token_signature);
            in.bytes(in.ok() ? in.left() : 0);
            return f;
        }
        case FrameType::join_reply: {
            JoinReply f;
            f.id = in.u64be();
            const auto flags = in.u8();
            f.admitted = (flags & 1) != 0;
            f.retry = (flags & 2) != 0;
            f.reason = net::as_text(in.bytes(in.u16be()));
            for (char& c : f.reason)
                if (c < ' ' || c > '~') c = '?';  // it goes to a terminal
            f.index = in.u8();
            f.count = in.u8();
            auto wires = get_wires(in);
            if (!wires || f.index >= f.count) return std::nullopt;
            f.wires = std::move(*wires);
            return f;
        }
    }
    return std::nullopt;
}

}  // namespace

net::Bytes encode(const Frame& frame, std::size_t pad_to) {
    net::Writer body;
    const auto type = std::visit(Put{body}, frame);
    const bool pads = type == FrameType::digest || type == FrameType::inventory || type == FrameType::want ||
                      type == FrameType::join_request || type == FrameType::punch || type == FrameType::birthday;
    const std::size_t padded = std::min(pad_to, kMaxFrameBytes);
    if (pads && body.size() + 4 < padded) body.zeros(padded - 4 - body.size());
    assert(body.size() <= kMaxFrameBody || type == FrameType::relayed);
    net::Writer out;
    out.u8(kFrameFormat).u8(static_cast<std::uint8_t>(type)).u16be(static_cast<std::uint16_t>(body.size())).bytes(body.view());
    return out.take();
}

std::optional<Frame> decode_frame(net::ByteView payload) {
    net::Reader outer(payload);
    const auto format = outer.u8();
    const auto type = outer.u8();
    const auto body = outer.bytes(outer.u16be());
    const bool too_large = body.size() > kMaxFrameBody && static_cast<FrameType>(type) != FrameType::relayed;
    if (!outer.ok() || format != kFrameFormat || too_large) return std::nullopt;
    net::Reader in(body);
    auto frame = get_frame(static_cast<FrameType>(type), in);
    if (!frame || !in.at_end()) return std::nullopt;
    return frame;
}

bool is_relayed(net::ByteView payload) {
    return payload.size() >= 4 && payload[0] == std::byte{kFrameFormat} && payload[1] == static_cast<std::byte>(FrameType::relayed);
}

net::MutableBytes probe_in(net::MutableBytes payload) {
    constexpr std::size_t kProbeBytes = 4 + 8 + 3;  // of either
    net::Reader in(payload);
    const auto format = in.u8();
    const auto type = static_cast<FrameType>(in.u8());
    const bool is_one = format == kFrameFormat && (type == FrameType::mtu_probe || type == FrameType::train_probe) &&
                        in.u16be() == kProbeBytes - 4 && in.ok() && payload.size() >= kProbeBytes;
    return is_one ? payload.first(kProbeBytes) : net::MutableBytes();
}

std::vector<Frame> frames_of(std::span<const net::ByteView> wires) {
    std::vector<Frame> out;
    Records whole;
    std::size_t used = 0;
    const auto flush = [&] {
        if (!whole.wires.empty()) out.push_back(std::exchange(whole, {}));
        used = 0;
    };
    for (const auto wire : wires) {
        if (wire.size() + kRecordHead > kMaxFrameBody) {
            const auto id = net::Reader(blake2s({wire}).view()).u64be();
            const auto first = wire.first(kPartBytes);
            out.push_back(RecordPart{id, 0, 2, net::copy(first)});
            out.push_back(RecordPart{id, 1, 2, net::copy(wire.subspan(first.size()))});
            continue;
        }
        if (used + kRecordHead + wire.size() > kMaxFrameBody) flush();
        used += kRecordHead + wire.size();
        whole.wires.push_back(net::copy(wire));
    }
    flush();
    return out;
}

std::size_t bytes_in_frames(std::size_t record_bytes) {
    return record_bytes + kRecordHead > kMaxFrameBody ? record_bytes + 2 * (4 + kPartHead) : record_bytes + kRecordHead;
}

std::optional<net::Bytes> Reassembly::add(const RecordPart& part) {
    auto open = std::find_if(open_.begin(), open_.end(), [&](const Open& one) { return one.id == part.id; });
    if (open == open_.end()) {
        if (open_.size() == kMaxOpen) open_.erase(open_.begin());
        open_.push_back({part.id, part.count, std::vector<net::Bytes>(part.count)});
        open = std::prev(open_.end());
    }
    if (part.count != open->count || part.index >= open->count || part.bytes.empty()) return std::nullopt;
    open->parts[part.index] = part.bytes;
    if (std::any_of(open->parts.begin(), open->parts.end(), [](const auto& one) { return one.empty(); })) return std::nullopt;
    net::Bytes whole;
    for (const auto& one : open->parts) whole.insert(whole.end(), one.begin(), one.end());
    open_.erase(open);
    return whole;
}

}  // namespace mesh
