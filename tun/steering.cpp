#include "tun/steering.hpp"

#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tun {
namespace {

using Instruction = bpf_insn;

// The registers of BPF's calling convention: the result, and the packet for the loads that name an offset in it.
constexpr std::uint8_t kResult = BPF_REG_0, kContext = BPF_REG_6, kArgument = BPF_REG_1;

constexpr Instruction instruction(int code, std::uint8_t to, std::uint8_t from, std::int16_t offset,
                                  std::int32_t value) {
    Instruction out{};
    out.code = static_cast<std::uint8_t>(code);
    out.dst_reg = to & 0xf;
    out.src_reg = from & 0xf;
    out.off = offset;
    out.imm = value;
    return out;
}
constexpr Instruction copy(std::uint8_t to, std::uint8_t from) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}
constexpr Instruction set(std::int32_t value) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, value);
}
constexpr Instruction shift_right(std::int32_t bits) {
    return instruction(BPF_ALU64 | BPF_RSH | BPF_K, kResult, 0, 0, bits);
}
constexpr Instruction mask(std::int32_t bits) {
    return instruction(BPF_ALU64 | BPF_AND | BPF_K, kResult, 0, 0, bits);
}
/// From the packet, big-endian. The program ends with 0 where the packet does not reach so far.
constexpr Instruction load(int size, std::int32_t at) {
    return instruction(BPF_LD | BPF_ABS | size, 0, 0, 0, at);
}
/// Skips so many instructions if the result is `value`.
constexpr Instruction skip_if(std::int32_t value, std::int16_t count) {
    return instruction(BPF_JMP | BPF_JEQ | BPF_K, kResult, 0, count, value);
}
constexpr Instruction skip(std::int16_t count) {
    return instruction(BPF_JMP | BPF_JA, 0, 0, count, 0);
}
constexpr Instruction end() {
    return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

// RFC 3246, RFC 5865, RFC 4594 section 4.1
constexpr std::int32_t kExpedited = 46, kVoiceAdmit = 44, kSignalling = 24;

// The DSCP is the upper six bits of IPv4's second byte, and of the eight bits behind IPv6's version.
constexpr std::array kProgram{
    copy(kContext, kArgument),
    load(BPF_B, 0),
    shift_right(4),
    skip_if(6, 3),
    load(BPF_B, 1),
    shift_right(2),
    skip(3),
    load(BPF_H, 0),
    shift_right(6),
    mask(0x3f),
    skip_if(kExpedited, 4),
    skip_if(kVoiceAdmit, 3),
    skip_if(kSignalling, 2),
    set(0),
    end(),
    set(1),
    end(),
};

std::string load_trouble(int error) {
    std::string message =
        std::string("the kernel does not load a program that chooses the queue: ") + std::strerror(error);
    if (error == EPERM || error == EACCES)
        message += "; give meshd CAP_BPF (or set kernel.unprivileged_bpf_disabled=0)";
    if (error == ENOSYS) message += "; it is built without BPF";
    return message;
}

}  // namespace

net::Result<Steering> Steering::load() {
    // The licence is asked for; the program calls no function of the kernel.
    constexpr char kLicence[] = "MIT";
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insns = reinterpret_cast<std::uintptr_t>(kProgram.data());
    attributes.insn_cnt = kProgram.size();
    attributes.license = reinterpret_cast<std::uintptr_t>(kLicence);
    const auto fd = ::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
    if (fd < 0) return net::fail(load_trouble(errno));
    return Steering(static_cast<int>(fd));
}

Steering::Steering(Steering&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Steering& Steering::operator=(Steering&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

Steering::~Steering() {
    if (fd_ >= 0) ::close(fd_);
}

net::Result<void> Steering::attach(int queue_fd) const {
    if (::ioctl(queue_fd, TUNSETSTEERINGEBPF, &fd_) == 0) return {};
    return net::fail(std::string("the device takes no program that chooses the queue: ") + std::strerror(errno));
}

}  // namespace tun
