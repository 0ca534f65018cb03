#include "voice/engine/redundancy.hpp"

#include <algorithm>

namespace voice::engine {
namespace {

constexpr std::size_t kRedHeaderBytes = 4;

}  // namespace

std::optional<std::vector<RedBlock>> parse_red(net::ByteView payload) {
    struct Announced {
        RedBlock block;
        std::size_t bytes;
    };
    std::vector<Announced> announced;
    net::Reader reader(payload);
    std::uint8_t type = reader.u8();
    while (reader.ok() && (type & 0x80U) != 0) {
        if (announced.size() + 1 >= kMaxRedBlocks) return std::nullopt;
        const std::uint32_t low = reader.u8(), middle = reader.u8(), high = reader.u8();
        const std::uint32_t bits = low << 16 | middle << 8 | high;
        announced.push_back({{static_cast<std::uint8_t>(type & 0x7fU), bits >> 10, {}}, bits & kMaxRedBytes});
        type = reader.u8();
    }
    std::vector<RedBlock> out;
    for (auto& [block, bytes] : announced) {
        block.payload = reader.bytes(bytes);
        out.push_back(block);
    }
    if (!reader.ok()) return std::nullopt;
    out.push_back({type, 0, reader.rest()});
    return out;
}

void RedSender::set_offsets(std::span<const unsigned> packets_back) {
    back_.clear();
    for (const auto back : packets_back) {
        if (back >= 1 && back <= kMaxBack && back_.size() + 1 < kMaxRedBlocks) back_.push_back(back);
    }
    std::sort(back_.begin(), back_.end(), std::greater<>());
}

net::Bytes RedSender::wrap(net::ByteView newest, std::uint32_t timestamp) {
    std::vector<const Sent*> chosen;
    std::size_t bytes = 1 + newest.size();
    // The nearest first, as they are worth most where not all fit.
    for (auto at = back_.rbegin(); at != back_.rend(); ++at) {
        if (*at > sent_.size()) break;
        const auto& sent = sent_[*at - 1];
        const auto offset = timestamp - sent.timestamp;
        if (sent.payload.empty() || sent.payload.size() > kMaxRedBytes || offset == 0 || offset > kMaxRedOffset) continue;
        if (bytes + kRedHeaderBytes + sent.payload.size() > max_payload_bytes_) continue;
        bytes += kRedHeaderBytes + sent.payload.size();
        chosen.insert(chosen.begin(), &sent);
    }
    net::Writer out;
    for (const auto* sent : chosen) {
        const auto bits = (timestamp - sent->timestamp) << 10 | static_cast<std::uint32_t>(sent->payload.size());
        out.u32be(0x80000000U | std::uint32_t{payload_type_} << 24 | bits);
    }
    out.u8(payload_type_);
    for (const auto* sent : chosen) out.bytes(sent->payload);
    out.bytes(newest);
    sent_.push_front({timestamp, net::copy(newest)});
    if (sent_.size() > kMaxBack) sent_.pop_back();
    return out.take();
}

}  // namespace voice::engine
