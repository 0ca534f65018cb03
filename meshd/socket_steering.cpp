#include "meshd/socket_steering.hpp"

#include <linux/filter.h>
#include <sys/socket.h>

#include <vector>

#include "mesh/protocol.hpp"
#include "net/traffic_class.hpp"

namespace meshd {
namespace {

using Program = std::vector<sock_filter>;

constexpr std::uint8_t jump(std::size_t count) { return static_cast<std::uint8_t>(count); }

void append(Program& to, const Program& more) { to.insert(to.end(), more.begin(), more.end()); }

/// The outer DSCP: the upper six bits of IPv4's second byte, and of the eight bits behind IPv6's version.
Program voice_to(std::size_t socket, bool v6) {
    constexpr auto kHeader = static_cast<std::uint32_t>(SKF_NET_OFF);
    Program out;
    if (v6) {
        out = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kHeader), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 6),
               BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3f)};
    } else {
        out = {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kHeader + 1), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2)};
    }
    const std::size_t count = net::kVoiceDscps.size();
    for (std::size_t i = 0; i < count; ++i) {
        out.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, net::kVoiceDscps[i], jump(count - i), 0));
    }
    append(out, {BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), BPF_STMT(BPF_RET | BPF_K, static_cast<std::uint32_t>(socket))});
    return out;
}

/// Offsets are those of the message; a load beyond its end returns 0. The low byte of a random index is the first.
Program bulk_over(std::size_t sockets) {
    constexpr auto kData = static_cast<std::uint32_t>(mesh::MessageType::data), kAesData = static_cast<std::uint32_t>(mesh::MessageType::aes_data);
    constexpr std::uint32_t kFlagsAt = 1, kIndexAt = 4;
    return {
        BPF_STMT(BPF_LDX | BPF_IMM, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kData, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kAesData, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsAt),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mesh::kQueueMask),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, mesh::kQueueShift),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kIndexAt),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, static_cast<std::uint32_t>(sockets)),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
}

}  // namespace

bool steer_datagrams(const loop::Datagram& first, std::size_t bulk) {
    auto program = voice_to(bulk, first.local().address.is_v6());
    append(program, bulk > 1 ? bulk_over(bulk) : Program{BPF_STMT(BPF_RET | BPF_K, 0)});
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::setsockopt(first.fd(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) == 0;
}

}  // namespace meshd
