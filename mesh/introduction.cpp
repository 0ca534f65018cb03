#include "mesh/introduction.hpp"

namespace mesh {
namespace {

constexpr std::string_view kDomain = "meshd introduction 1";
constexpr std::size_t kHead = 4, kMacs = 2 * kMacBytes;

}  // namespace

bool is_introduction(net::ByteView datagram) {
    return datagram.size() > kHead + kSealBytes + kMacs && datagram.size() <= kMaxIntroductionBytes &&
           net::Reader(datagram).u32be() == std::uint32_t{kIntroductionType} << 24;
}

std::optional<net::Bytes> make_introduction(const net::TunnelKey& to, std::span<const net::ByteView> wires,
                                            net::Random& random, net::Now now) {
    net::Writer plain;
    for (const auto wire : wires) plain.u16be(static_cast<std::uint16_t>(wire.size())).bytes(wire);
    const auto sealed = seal(to, kDomain, plain.view(), random);
    net::Writer out;
    out.u8(kIntroductionType).zeros(3).bytes(sealed).zeros(kMacs);
    if (sealed.empty() || out.size() > kMaxIntroductionBytes) return std::nullopt;
    auto datagram = out.take();
    CookieJar(to).put_macs(datagram, now.steady);
    return datagram;
}

std::optional<std::vector<net::Bytes>> open_introduction(const net::TunnelSecret& secret, net::ByteView datagram) {
    if (!is_introduction(datagram) || !mac1_valid(datagram, mac1_key(public_key(secret)))) return std::nullopt;
    const auto plain = unseal(secret, kDomain, datagram.subspan(kHead, datagram.size() - kHead - kMacs));
    if (!plain) return std::nullopt;
    std::vector<net::Bytes> wires;
    net::Reader in(*plain);
    while (in.ok() && in.left() > 0) wires.push_back(net::copy(in.bytes(in.u16be())));
    return in.ok() ? std::optional(std::move(wires)) : std::nullopt;
}

}  // namespace mesh
