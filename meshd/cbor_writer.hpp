/// Writes CBOR (RFC 8949) an item at a time: where a tree that is made only to be written would cost many times its bytes.
#pragma once

#include <bit>
#include <string_view>

#include "net/bytes.hpp"

namespace meshd {

/// The caller keeps count: after map(n) come n pairs of text() and an item, after array(n) n items.
class CborWriter {
public:
    CborWriter& number(std::uint64_t value) { return head(0, value); }
    CborWriter& text(std::string_view text) {  ///< any bytes: nobody looks whether they are UTF-8
        head(3, text.size()).out_.bytes(net::as_bytes(text));
        return *this;
    }
    CborWriter& array(std::size_t items) { return head(4, items); }
    CborWriter& map(std::size_t pairs) { return head(5, pairs); }
    CborWriter& null() {
        out_.u8(0xf6);
        return *this;
    }
    CborWriter& real(double value) {
        out_.u8(0xfb).u64be(std::bit_cast<std::uint64_t>(value));
        return *this;
    }
    net::Bytes take() { return out_.take(); }

private:
    /// Section 3: the major type, and its argument in as few bytes as it needs.
    CborWriter& head(unsigned major, std::uint64_t value) {
        const auto first = [&](unsigned short_form) { return static_cast<std::uint8_t>(major << 5 | short_form); };
        if (value < 24) {
            out_.u8(first(static_cast<unsigned>(value)));
        } else if (value <= 0xff) {
            out_.u8(first(24)).u8(static_cast<std::uint8_t>(value));
        } else if (value <= 0xffff) {
            out_.u8(first(25)).u16be(static_cast<std::uint16_t>(value));
        } else if (value <= 0xffff'ffff) {
            out_.u8(first(26)).u32be(static_cast<std::uint32_t>(value));
        } else {
            out_.u8(first(27)).u64be(value);
        }
        return *this;
    }

    net::Writer out_;
};

}  // namespace meshd
