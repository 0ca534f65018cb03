// What a LAN's machine, or a member, can send through a gateway that maps subnets: the translation must read and write
// nothing beyond the packet, change nothing but addresses and checksums, and be undone by the way back.
#include <cstdlib>

#include "mesh/subnet_map.hpp"
#include "net/packet.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

net::Prefix prefix(const char* text) { return *net::Prefix::parse(text); }

std::size_t differences(const net::Bytes& a, const net::Bytes& b) {
    std::size_t out = 0;
    for (std::size_t i = 0; i < a.size(); ++i) out += a[i] != b[i] ? 1 : 0;
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    static const mesh::SubnetMap kMap({{prefix("192.168.1.0/24"), prefix("10.201.1.0/24")},
                                       {prefix("fd01:2:3::/48"), prefix("2001:db8:7::/48")}});
    const auto* const begin = reinterpret_cast<const std::byte*>(data) + 1;
    const net::Bytes input(begin, begin + size - 1);
    const auto state = static_cast<mesh::SubnetMap::Checksum>(data[0] % 3);
    for (const bool into : {false, true}) {
        auto packet = input;
        const bool done = into ? kMap.into_mesh(packet, state) : kMap.out_of_mesh(packet, state);
        if (!done || !net::parse_ip(input)) {
            require(packet == input);
            continue;
        }
        // Two addresses, two IPv4 header checksums, and those of the transport, of ICMP and of what it quotes.
        require(differences(packet, input) <= 2 * 16 + 2 * 2 + 2 * 2);
        auto again = packet;
        require(into ? kMap.into_mesh(again, state) : kMap.out_of_mesh(again, state));
        require(again == packet);
    }
    return 0;
}
