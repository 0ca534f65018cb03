// What a program of this machine, or a member, can send through the tunnel: what looks into packets for their size must
// read nothing beyond them and change nothing but an MSS and its checksum. Two bytes of MTU and one of flags come first.
#include <cstdlib>

#include "mesh/mss.hpp"
#include "mesh/too_big.hpp"
#include "net/checksum.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

std::uint16_t sum_of(net::ByteView packet, const net::Transport& transport) {
    const bool v6 = net::parse_ip(packet)->source.is_v6();
    const auto segment = packet.first(net::parse_ip(packet)->total_bytes).subspan(transport.at);
    const auto addresses = packet.subspan(v6 ? 8 : 12, v6 ? 32 : 8);
    return net::checksum_fold(net::checksum_add(segment, net::checksum_pseudo_header(addresses, 6, segment.size())));
}

void clamp(const net::Bytes& input, std::size_t mtu_bytes, bool checksum_left) {
    auto packet = input;
    if (!mesh::clamp_mss(packet, mtu_bytes, checksum_left)) return require(packet == input);
    const auto transport = net::find_transport(input);
    require(transport.has_value());
    std::size_t changed = 0;
    for (std::size_t i = 0; i < input.size(); ++i) changed += packet[i] != input[i] ? 1 : 0;
    require(changed >= 1 && changed <= (checksum_left ? 2U : 4U));
    // An MSS that stands at an odd place, or one in an odd IPv4 header, is found by the sum all the same.
    if (!checksum_left && sum_of(input, *transport) == 0xffff) require(sum_of(packet, *transport) == 0xffff);
    require(!mesh::clamp_mss(packet, mtu_bytes, checksum_left));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) return 0;
    const auto mtu_bytes = static_cast<std::size_t>(data[0]) << 8 | data[1];
    const auto* const begin = reinterpret_cast<const std::byte*>(data) + 3;
    const net::Bytes packet(begin, begin + size - 3);
    clamp(packet, mtu_bytes, (data[2] & 1) != 0);
    if (!net::parse_ip(packet)) {
        require(!net::find_transport(packet));
        return 0;
    }
    if (const auto transport = net::find_transport(packet)) require(transport->at <= net::parse_ip(packet)->total_bytes);
    (void)mesh::is_too_big(packet, packet.size(), mtu_bytes);
    mesh::TooBigReplies replies;
    const auto reply = replies.reply(packet, mtu_bytes, net::Steady(std::chrono::hours(1)));
    if (reply.empty()) return 0;
    const auto header = net::parse_ip(reply);
    require(header && header->total_bytes == reply.size() && reply.size() <= 1280);
    mesh::TooBigReplies others;
    require(others.reply(reply, mtu_bytes, net::Steady(std::chrono::hours(1))).empty());
    return 0;
}
