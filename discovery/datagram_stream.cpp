#include "discovery/datagram_stream.hpp"

#include <algorithm>
#include <cassert>

namespace discovery {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kLengthBytes = 2;

}  // namespace

net::Bytes StreamPreamble::encode() const {
    net::Writer out;
    out.u8(kVersion).u8(static_cast<std::uint8_t>(role)).bytes(pair);
    return out.take();
}

void append_datagram(net::Bytes& out, net::ByteView datagram) {
    assert(datagram.size() >= kMinStreamDatagramBytes && datagram.size() <= kMaxStreamDatagramBytes);
    out.push_back(static_cast<std::byte>(datagram.size() >> 8));
    out.push_back(static_cast<std::byte>(datagram.size() & 0xff));
    out.insert(out.end(), datagram.begin(), datagram.end());
}

void DatagramFramer::feed(net::ByteView bytes) {
    if (state_ != State::open) return;
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ = 0;
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
}

std::optional<StreamPreamble> DatagramFramer::preamble() {
    if (!awaits_preamble_ || state_ != State::open) return std::nullopt;
    net::Reader in(net::ByteView(kept_).subspan(at_));
    const auto size = kept_bytes();
    // A stranger is told by the first byte: the rest may never come.
    const auto version = in.u8(), role = in.u8();
    const bool known = (size < 1 || version == kVersion) && (size < 2 || role == 1 || role == 2);
    if (!known) {
        state_ = State::no_preamble;
        return std::nullopt;
    }
    if (size < StreamPreamble::kBytes) return std::nullopt;
    StreamPreamble out{static_cast<StreamRole>(role), {}};
    const auto pair = in.bytes(out.pair.size());
    std::copy(pair.begin(), pair.end(), out.pair.begin());
    at_ += StreamPreamble::kBytes;
    awaits_preamble_ = false;
    return out;
}

std::optional<net::MutableBytes> DatagramFramer::next() {
    if (awaits_preamble_ || state_ != State::open || kept_bytes() < kLengthBytes) return std::nullopt;
    const std::size_t size = net::Reader(net::ByteView(kept_).subspan(at_)).u16be();
    if (size < kMinStreamDatagramBytes) state_ = State::too_short;
    if (size > kMaxStreamDatagramBytes) state_ = State::too_long;
    if (state_ != State::open || kept_bytes() < kLengthBytes + size) return std::nullopt;
    const auto datagram = net::MutableBytes(kept_).subspan(at_ + kLengthBytes, size);
    at_ += kLengthBytes + size;
    return datagram;
}

}  // namespace discovery
