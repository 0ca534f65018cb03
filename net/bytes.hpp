/// Bytes as values, and bounded reading and writing of them. Nothing here allocates behind a reader's back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace net {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;  ///< borrowed; valid as long as what it views
using MutableBytes = std::span<std::byte>;

inline ByteView as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
inline const std::uint8_t* u8(ByteView bytes) { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }
inline std::uint8_t* u8(MutableBytes bytes) { return reinterpret_cast<std::uint8_t*>(bytes.data()); }

/// Reads integers and slices from borrowed bytes. Once a read runs past the end, `ok()` is false for good and every
/// further read gives zero or an empty view: check once, after the last read.
class Reader {
public:
    explicit Reader(ByteView bytes) : rest_(bytes) {}

    bool ok() const { return ok_; }
    std::size_t left() const { return rest_.size(); }
    bool at_end() const { return ok_ && rest_.empty(); }
    ByteView rest() const { return rest_; }

    ByteView bytes(std::size_t count) {
        if (count > rest_.size()) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        const auto taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    }
    std::uint8_t u8() { return static_cast<std::uint8_t>(big_endian(1)); }
    std::uint16_t u16be() { return static_cast<std::uint16_t>(big_endian(2)); }
    std::uint32_t u32be() { return static_cast<std::uint32_t>(big_endian(4)); }
    std::uint64_t u64be() { return big_endian(8); }
    std::uint16_t u16le() { return static_cast<std::uint16_t>(little_endian(2)); }
    std::uint32_t u32le() { return static_cast<std::uint32_t>(little_endian(4)); }
    std::uint64_t u64le() { return little_endian(8); }

private:
    std::uint64_t big_endian(std::size_t count) {
        std::uint64_t value = 0;
        for (const auto byte : bytes(count)) value = value << 8 | std::to_integer<std::uint64_t>(byte);
        return value;
    }
    std::uint64_t little_endian(std::size_t count) {
        std::uint64_t value = 0;
        unsigned shift = 0;
        for (const auto byte : bytes(count)) {
            value |= std::to_integer<std::uint64_t>(byte) << shift;
            shift += 8;
        }
        return value;
    }

    ByteView rest_;
    bool ok_ = true;
};

/// Appends integers and slices to a buffer that it owns.
class Writer {
public:
    Writer& bytes(ByteView more) {
        out_.insert(out_.end(), more.begin(), more.end());
        return *this;
    }
    Writer& u8(std::uint8_t value) { return big_endian(value, 1); }
    Writer& u16be(std::uint16_t value) { return big_endian(value, 2); }
    Writer& u32be(std::uint32_t value) { return big_endian(value, 4); }
    Writer& u64be(std::uint64_t value) { return big_endian(value, 8); }
    Writer& u16le(std::uint16_t value) { return little_endian(value, 2); }
    Writer& u32le(std::uint32_t value) { return little_endian(value, 4); }
    Writer& u64le(std::uint64_t value) { return little_endian(value, 8); }
    Writer& zeros(std::size_t count) {
        out_.resize(out_.size() + count);
        return *this;
    }

    std::size_t size() const { return out_.size(); }
    ByteView view() const { return out_; }
    Bytes take() { return std::move(out_); }

private:
    Writer& big_endian(std::uint64_t value, unsigned count) {
        for (unsigned i = count; i-- > 0;) out_.push_back(static_cast<std::byte>(value >> 8 * i & 0xff));
        return *this;
    }
    Writer& little_endian(std::uint64_t value, unsigned count) {
        for (unsigned i = 0; i < count; ++i) out_.push_back(static_cast<std::byte>(value >> 8 * i & 0xff));
        return *this;
    }

    Bytes out_;
};

}  // namespace net
