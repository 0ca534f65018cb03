#include "discovery/pcp.hpp"

namespace discovery::pcp {
namespace {

constexpr std::uint8_t kResponse = 0x80, kAnnounce = 0, kMap = 1;
constexpr std::uint8_t kUdp = 17;
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kAddressBytes = 16;

/// Section 5: an IPv4 address stands as ::ffff:a.b.c.d.
void put_address(net::Writer& out, const net::IpAddress& address) {
    if (address.is_v6()) {
        out.bytes(address.bytes());
    } else {
        out.zeros(10).u16be(0xffff);
        if (address.is_v4()) out.bytes(address.bytes());
        else out.zeros(4);
    }
}

}  // namespace

std::string_view text(Result result) {
    switch (result) {
        case Result::success: return "success";
        case Result::unsupported_version: return "the gateway speaks another version of PCP";
        case Result::not_authorized: return "the gateway allows no mapping, or another program has this one";
        case Result::malformed_request: return "the gateway takes the request for malformed";
        case Result::unsupported_opcode: return "the gateway gives no mappings";
        case Result::unsupported_option: return "the gateway lacks an option";
        case Result::malformed_option: return "the gateway takes an option for malformed";
        case Result::network_failure: return "the gateway has no connection itself";
        case Result::no_resources: return "the gateway has no room for more mappings";
        case Result::unsupported_protocol: return "the gateway maps no UDP";
        case Result::quota_exceeded: return "this machine has too many mappings already";
        case Result::cannot_provide_external: return "the gateway has no such port or address to give";
        case Result::address_mismatch: return "there is another NAT between this machine and the gateway";
        case Result::excessive_remote_peers: return "the gateway allows not so many peers";
    }
    return "the gateway refuses, for a reason that nobody knows";
}

net::Bytes encode(const MapRequest& request) {
    net::Writer out;
    out.u8(kVersion).u8(kMap).zeros(2).u32be(request.lifetime_s);
    put_address(out, request.client);
    out.bytes(request.nonce).u8(kUdp).zeros(3).u16be(request.internal_port).u16be(request.suggested.port);
    // "Any" is of the family that is wanted (section 11.1).
    const auto any = request.client.is_v6() ? net::IpAddress::from_bytes(net::Bytes(kAddressBytes)) : net::IpAddress();
    put_address(out, request.suggested.is_none() ? any : request.suggested.address);
    return out.take();
}

std::optional<Response> parse(net::ByteView message) {
    // Section 8.3: what is no response, too short, too long, or no multiple of four, is dropped.
    if (message.size() < kHeaderBytes || message.size() > kLargestBytes || message.size() % 4 != 0) return std::nullopt;
    net::Reader in(message);
    Response out;
    out.version = in.u8();
    const auto opcode = in.u8();
    in.u8();
    out.result = static_cast<Result>(in.u8());
    out.lifetime_s = in.u32be();
    out.epoch_s = in.u32be();
    in.bytes(12);
    if ((opcode & kResponse) == 0) return std::nullopt;
    if (out.version != kVersion) return out;
    if (opcode == (kResponse | kAnnounce)) return out;
    if (opcode != (kResponse | kMap)) return std::nullopt;
    auto& map = out.map.emplace();
    const auto nonce = in.bytes(map.nonce.size());
    map.protocol = in.u8();
    in.bytes(3);
    map.internal_port = in.u16be();
    map.external.port = in.u16be();
    map.external.address = net::IpAddress::from_bytes(in.bytes(kAddressBytes)).unmapped();
    if (!in.ok() || map.protocol != kUdp) return std::nullopt;
    std::copy(nonce.begin(), nonce.end(), map.nonce.begin());
    return out;
}

bool epoch_goes_on(std::uint32_t before_s, std::uint32_t after_s, std::int64_t passed_s) {
    const auto server = std::int64_t{after_s} - std::int64_t{before_s};
    if (server < -1) return false;  // a second of reordering is forgiven
    // Both clocks may be wrong by a sixteenth, and by two seconds of delay.
    return passed_s + 2 >= server - server / 16 && server + 2 >= passed_s - passed_s / 16;
}

}  // namespace discovery::pcp
