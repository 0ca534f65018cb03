#include "mesh/cookie.hpp"

namespace mesh {

namespace {

constexpr std::string_view kMac1Label = "mac1----";
constexpr std::string_view kCookieLabel = "cookie--";

// Section 5.4.7: type and zeros, receiver index, nonce, encrypted cookie.
constexpr std::size_t kNonceAt = 8;
constexpr std::size_t kCookieAt = 32;
static_assert(kCookieAt + kMacBytes + kTagBytes == kCookieReplyBytes);

net::ByteView before_mac1(net::ByteView message) { return message.first(message.size() - 2 * kMacBytes); }
net::ByteView before_mac2(net::ByteView message) { return message.first(message.size() - kMacBytes); }
net::ByteView mac1_of(net::ByteView message) { return before_mac2(message).last(kMacBytes); }
net::ByteView mac2_of(net::ByteView message) { return message.last(kMacBytes); }

SymmetricKey as_key(const std::array<std::byte, 32>& bytes) {
    return SymmetricKey(std::span<const std::byte, 32>(bytes));
}

}  // namespace

std::array<std::byte, 32> mac1_key(const net::TunnelKey& receiver) {
    return blake2s({net::as_bytes(kMac1Label), receiver.view()}).bytes;
}

std::array<std::byte, 32> cookie_key(const net::TunnelKey& sender) {
    return blake2s({net::as_bytes(kCookieLabel), sender.view()}).bytes;
}

bool mac1_valid(net::ByteView message, std::span<const std::byte, 32> key) {
    if (message.size() < 2 * kMacBytes) return false;
    return equal_in_constant_time(blake2s_mac(key, {before_mac1(message)}).view(), mac1_of(message));
}

void CookieJar::put_macs(net::MutableBytes message, net::Steady now) {
    last_mac1_ = blake2s_mac(mac1_key_, {before_mac1(message)});
    std::memcpy(message.data() + message.size() - 2 * kMacBytes, last_mac1_->data(), kMacBytes);
    Mac mac2;
    if (cookie_ && now - received_ < kCookieSecretTime - kCookieLatency) {
        mac2 = blake2s_mac(cookie_->view(), {before_mac2(message)});
    }
    std::memcpy(message.data() + message.size() - kMacBytes, mac2.data(), kMacBytes);
}

bool CookieJar::receive(net::ByteView cookie_reply, net::Steady now) {
    if (cookie_reply.size() != kCookieReplyBytes || !last_mac1_) return false;
    const auto nonce = XNonce::from(cookie_reply.subspan(kNonceAt, kCookieAt - kNonceAt));
    Mac cookie;
    if (!xaead_open(cookie.bytes, as_key(cookie_key_), *nonce, cookie_reply.subspan(kCookieAt), last_mac1_->view())) {
        return false;
    }
    cookie_ = cookie;
    received_ = now;
    last_mac1_.reset();
    return true;
}

Mac CookieChecker::cookie_for(const net::Endpoint& from, net::Steady now) {
    if (!renewed_ || now - *renewed_ >= kCookieSecretTime) {
        random_.fill(secret_.fill());
        renewed_ = now;
    }
    const std::array port{static_cast<std::byte>(from.port >> 8), static_cast<std::byte>(from.port & 0xff)};
    return blake2s_mac(secret_.view(), {from.address.bytes(), port});
}

bool CookieChecker::mac2_valid(net::ByteView message, const net::Endpoint& from, net::Steady now) {
    const auto cookie = cookie_for(from, now);
    return equal_in_constant_time(blake2s_mac(cookie.view(), {before_mac2(message)}).view(), mac2_of(message));
}

std::array<std::byte, kCookieReplyBytes> CookieChecker::reply(net::ByteView message, const net::Endpoint& from,
                                                              net::Steady now) {
    std::array<std::byte, kCookieReplyBytes> out{};
    out[0] = static_cast<std::byte>(MessageType::cookie_reply);
    std::memcpy(out.data() + 4, message.data() + 4, 4);  // to the sender's index
    XNonce nonce;
    random_.fill(nonce.bytes);
    std::memcpy(out.data() + kNonceAt, nonce.data(), nonce.bytes.size());
    const auto cookie = cookie_for(from, now);
    xaead_seal(net::MutableBytes(out).subspan(kCookieAt), as_key(cookie_key_), nonce, cookie.view(), mac1_of(message));
    return out;
}

}  // namespace mesh
