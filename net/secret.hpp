/// Secrets that wipe themselves and cannot be printed, and the public values beside them.
#pragma once

#include <array>
#include <compare>
#include <string.h>

#include "net/bytes.hpp"

namespace net {

/// `N` secret bytes: wiped when destroyed or moved from, never formatted, compared in constant time.
template <std::size_t N>
class Secret {
public:
    Secret() = default;
    explicit Secret(std::span<const std::byte, N> bytes) { std::memcpy(bytes_.data(), bytes.data(), N); }
    Secret(const Secret& other) = default;
    Secret& operator=(const Secret& other) = default;
    Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            bytes_ = other.bytes_;
            other.wipe();
        }
        return *this;
    }
    ~Secret() { wipe(); }

    static constexpr std::size_t size() { return N; }
    std::span<const std::byte, N> view() const { return bytes_; }
    std::span<std::byte, N> fill() { return bytes_; }
    const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(bytes_.data()); }
    std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(bytes_.data()); }
    void wipe() { explicit_bzero(bytes_.data(), N); }

    bool equals(const Secret& other) const {
        std::byte difference{0};
        for (std::size_t i = 0; i < N; ++i) difference |= bytes_[i] ^ other.bytes_[i];
        return difference == std::byte{0};
    }

private:
    std::array<std::byte, N> bytes_{};
};

/// A public value of fixed size: a key, an identity, a hash. `Tag` keeps kinds apart at compile time.
template <class Tag, std::size_t N = 32>
struct Opaque {
    std::array<std::byte, N> bytes{};

    static std::optional<Opaque> from(ByteView view) {
        if (view.size() != N) return std::nullopt;
        Opaque value;
        std::memcpy(value.bytes.data(), view.data(), N);
        return value;
    }
    ByteView view() const { return bytes; }
    const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(bytes.data()); }
    std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(bytes.data()); }
    auto operator<=>(const Opaque&) const = default;
    bool is_zero() const { return *this == Opaque{}; }
};

using TunnelKey = Opaque<struct TunnelKeyTag>;  ///< X25519 public key: who a WireGuard session is with
using NodeKey = Opaque<struct NodeKeyTag>;      ///< Ed25519 public key: who signs; also names a mesh (its root)
using TunnelSecret = Secret<32>;                ///< X25519 private key
using NodeSecret = Secret<64>;                  ///< Ed25519 private key as libsodium keeps it (seed and public key)
using PresharedKey = Secret<32>;                ///< WireGuard's optional symmetric key; all zero means none

}  // namespace net

template <class Tag, std::size_t N>
struct std::hash<net::Opaque<Tag, N>> {
    std::size_t operator()(const net::Opaque<Tag, N>& value) const noexcept {
        std::size_t out = 0;
        std::memcpy(&out, value.bytes.data(), sizeof out < N ? sizeof out : N);
        return out;
    }
};
