#include "discovery/nat_pmp.hpp"

namespace discovery::nat_pmp {
namespace {

constexpr std::uint8_t kVersion = 0, kResponse = 128, kAddress = 0, kMapUdp = 1;

}  // namespace

std::string_view text(Result result) {
    switch (result) {
        case Result::success: return "success";
        case Result::unsupported_version: return "the gateway speaks another version of NAT-PMP";
        case Result::not_authorized: return "the gateway allows no mappings";
        case Result::network_failure: return "the gateway has no connection itself";
        case Result::no_resources: return "the gateway has no room for more mappings";
        case Result::unsupported_opcode: return "the gateway gives no mappings";
    }
    return "the gateway refuses, for a reason that nobody knows";
}

net::Bytes address_request() { return net::Writer().u8(kVersion).u8(kAddress).take(); }

net::Bytes map_request(std::uint16_t internal_port, std::uint16_t suggested_port, std::uint32_t lifetime_s) {
    net::Writer out;
    out.u8(kVersion).u8(kMapUdp).u16be(0).u16be(internal_port).u16be(lifetime_s == 0 ? 0 : suggested_port).u32be(lifetime_s);
    return out.take();
}

std::optional<Response> parse(net::ByteView message) {
    net::Reader in(message);
    if (in.u8() != kVersion) return std::nullopt;
    const auto opcode = in.u8();
    Response out;
    out.result = static_cast<Result>(in.u16be());
    out.epoch_s = in.u32be();
    if (!in.ok()) return std::nullopt;
    if (opcode == (kResponse | kMapUdp)) {
        Map map;
        map.internal_port = in.u16be();
        map.external_port = in.u16be();
        map.lifetime_s = in.u32be();
        if (in.ok()) out.says = map;
    } else if (opcode == (kResponse | kAddress)) {
        const auto address = in.bytes(4);
        if (in.ok()) out.says = Address{out.result == Result::success ? net::IpAddress::from_bytes(address) : net::IpAddress()};
    } else if (out.result == Result::success) {
        return std::nullopt;
    }
    // Of an error the rest may be missing; a success must be whole.
    if (out.result == Result::success && !in.ok()) return std::nullopt;
    return out;
}

}  // namespace discovery::nat_pmp
