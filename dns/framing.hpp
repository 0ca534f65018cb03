/// DNS over TCP: each message behind its length in two bytes (RFC 1035 section 4.2.2, RFC 7766 section 8). Any number may
/// be asked before the first is answered.
#pragma once

#include "dns/query.hpp"

namespace dns {

class Framer {
public:
    void feed(net::ByteView bytes) { buffer_.insert(buffer_.end(), bytes.begin(), bytes.end()); }
    /// The next whole message; nullopt: more must come first, or it is broken.
    std::optional<net::Bytes> next() {
        net::Reader reader(net::ByteView(buffer_).subspan(taken_));
        const auto size = reader.u16be();
        if (!reader.ok()) return compact();
        // What no query can be is not waited for: at most one of the largest is kept.
        if (size < kHeaderBytes || size > kMaxQueryBytes) broken_ = true;
        const auto message = reader.bytes(size);
        if (broken_ || !reader.ok()) return compact();
        taken_ += 2u + size;
        return net::copy(message);
    }
    bool is_broken() const { return broken_; }
    bool is_empty() const { return size_bytes() == 0; }
    std::size_t size_bytes() const { return buffer_.size() - taken_; }  ///< of what next() has not given yet

    /// `message` as it goes on the wire; it is at most 65,535 bytes.
    static net::Bytes framed(net::ByteView message) {
        net::Writer out;
        out.u16be(static_cast<std::uint16_t>(message.size())).bytes(message);
        return out.take();
    }

private:
    std::nullopt_t compact() {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(taken_));
        taken_ = 0;
        if (broken_) buffer_.clear();
        return std::nullopt;
    }
    net::Bytes buffer_;
    std::size_t taken_ = 0;
    bool broken_ = false;
};

}  // namespace dns
