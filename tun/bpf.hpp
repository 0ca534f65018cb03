/// Programs for the kernel's BPF machine (RFC 9669), written instruction by instruction. Internal to this folder.
#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <span>

namespace tun::bpf {

using Instruction = bpf_insn;

/// The registers: what a program and a function return, a function's arguments, which it does not keep, and those that
/// it keeps. The packet is the program's argument; the loads that name an offset in it want it in kPacket.
constexpr std::uint8_t kResult = BPF_REG_0, kArgument = BPF_REG_1, kArgument2 = BPF_REG_2, kPacket = BPF_REG_6,
                       kKept = BPF_REG_7, kKept2 = BPF_REG_8;

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
constexpr Instruction set(std::uint8_t to, std::int32_t value) {
    return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}
constexpr Instruction add(std::uint8_t to, std::uint8_t from) {
    return instruction(BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0);
}
constexpr Instruction multiply(std::uint8_t to, std::int32_t by) {
    return instruction(BPF_ALU64 | BPF_MUL | BPF_K, to, 0, 0, by);
}
constexpr Instruction shift_right(std::uint8_t to, std::int32_t bits) {
    return instruction(BPF_ALU64 | BPF_RSH | BPF_K, to, 0, 0, bits);
}
constexpr Instruction mask(std::uint8_t to, std::int32_t bits) {
    return instruction(BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, bits);
}
constexpr Instruction shift_left(std::uint8_t to, std::int32_t bits) {
    return instruction(BPF_ALU64 | BPF_LSH | BPF_K, to, 0, 0, bits);
}
constexpr Instruction exclusive_or(std::uint8_t to, std::uint8_t from) {
    return instruction(BPF_ALU64 | BPF_XOR | BPF_X, to, from, 0, 0);
}
constexpr Instruction remainder(std::uint8_t to, std::int32_t of) {
    return instruction(BPF_ALU64 | BPF_MOD | BPF_K, to, 0, 0, of);
}
/// From the packet's bytes, big-endian, into kResult. The program ends with 0 where the packet does not reach so far.
constexpr Instruction load_packet(int size, std::int32_t at) {
    return instruction(BPF_LD | BPF_ABS | size, 0, 0, 0, at);
}
/// The same, at what `from` holds.
constexpr Instruction load_packet_at(int size, std::uint8_t from) {
    return instruction(BPF_LD | BPF_IND | size, 0, from, 0, 0);
}
/// 32 bits of what the kernel tells of the packet: an offset in struct __sk_buff.
constexpr Instruction load_about(std::uint8_t to, std::size_t at) {
    return instruction(BPF_LDX | BPF_MEM | BPF_W, to, kPacket, static_cast<std::int16_t>(at), 0);
}
/// 64 bits to where `to` points.
constexpr Instruction store(std::uint8_t to, std::size_t at, std::uint8_t from) {
    return instruction(BPF_STX | BPF_MEM | BPF_DW, to, from, static_cast<std::int16_t>(at), 0);
}
/// Adds `value` to the 64 bits where `to` points, as one step; `value` is what was there then. Linux 5.12.
constexpr Instruction fetch_add(std::uint8_t to, std::size_t at, std::uint8_t value) {
    return instruction(BPF_STX | BPF_ATOMIC | BPF_DW, to, value, static_cast<std::int16_t>(at), BPF_ADD | BPF_FETCH);
}
constexpr Instruction call(std::int32_t function) {
    return instruction(BPF_JMP | BPF_CALL, 0, 0, 0, function);
}
/// Skips so many instructions if kResult is `value`.
constexpr Instruction skip_if(std::int32_t value, std::int16_t count) {
    return instruction(BPF_JMP | BPF_JEQ | BPF_K, kResult, 0, count, value);
}
constexpr Instruction skip(std::int16_t count) {
    return instruction(BPF_JMP | BPF_JA, 0, 0, count, 0);
}
constexpr Instruction end() {
    return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/// A new descriptor, or -1 with errno.
inline int system_call(bpf_cmd command, bpf_attr attributes) {
    return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

/// A program that looks at packets: a new descriptor, or -1 with errno (EPERM: it needs CAP_BPF, or a kernel that lets
/// everyone; ENOSYS: a kernel without BPF).
inline int load(std::span<const Instruction> program) {
    // The licence is asked for; the programs call no function of the kernel that is kept for GPL ones.
    constexpr char kLicence[] = "MIT";
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
    attributes.license = reinterpret_cast<std::uintptr_t>(kLicence);
    return system_call(BPF_PROG_LOAD, attributes);
}

}  // namespace tun::bpf
