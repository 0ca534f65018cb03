#include "tun/steering.hpp"

#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cstring>
#include <utility>
#include <vector>

#include "tun/bpf.hpp"

namespace tun {
namespace {

// RFC 3246, RFC 5865, RFC 4594 section 4.1
constexpr std::int32_t kExpedited = 46, kVoiceAdmit = 44, kSignalling = 24;

constexpr std::int32_t kTcp = 6, kUdp = 17;

using Program = std::vector<bpf::Instruction>;

void append(Program& to, const Program& more) { to.insert(to.end(), more.begin(), more.end()); }

/// The DSCP is the upper six bits of IPv4's second byte, and of the eight bits behind IPv6's version, which is left in
/// kKept.
Program voice_to(std::int32_t queue) {
    using namespace bpf;
    return {
        load_packet(BPF_B, 0),
        shift_right(kResult, 4),
        copy(kKept, kResult),
        skip_if(6, 3),
        load_packet(BPF_B, 1),
        shift_right(kResult, 2),
        skip(3),
        load_packet(BPF_H, 0),
        shift_right(kResult, 6),
        mask(kResult, 0x3f),
        skip_if(kExpedited, 3),
        skip_if(kVoiceAdmit, 2),
        skip_if(kSignalling, 1),
        skip(2),
        set(kResult, queue),
        end(),
    };
}

/// Addresses, and ports where the header shows them, exclusive-ored into kKept2. A fragment shows none (RFC 791).
Program what_names_the_flow() {
    using namespace bpf;
    Program v6{load_packet(BPF_W, 8), copy(kKept2, kResult)};
    for (std::int32_t at = 12; at < 40; at += 4) append(v6, {load_packet(BPF_W, at), exclusive_or(kKept2, kResult)});
    append(v6, {load_packet(BPF_B, 6), skip_if(kTcp, 2), skip_if(kUdp, 1), skip(2), load_packet(BPF_W, 40),
                exclusive_or(kKept2, kResult)});
    const Program v4_ports{
        load_packet(BPF_B, 0), mask(kResult, 0xf), shift_left(kResult, 2), copy(kKept, kResult),
        load_packet_at(BPF_W, kKept), exclusive_or(kKept2, kResult),
    };
    const auto past_ports = static_cast<std::int16_t>(v4_ports.size());
    Program v4{
        load_packet(BPF_W, 12), copy(kKept2, kResult), load_packet(BPF_W, 16), exclusive_or(kKept2, kResult),
        load_packet(BPF_H, 6), mask(kResult, 0x3fff), skip_if(0, 1), skip(static_cast<std::int16_t>(past_ports + 4)),
        load_packet(BPF_B, 9), skip_if(kTcp, 2), skip_if(kUdp, 1), skip(past_ports),
    };
    append(v4, v4_ports);
    v4.push_back(skip(static_cast<std::int16_t>(v6.size())));
    Program out{copy(kResult, kKept), skip_if(6, static_cast<std::int16_t>(v4.size()))};
    append(out, v4);
    append(out, v6);
    return out;
}

/// A packet too short for what is looked at goes to queue 0.
Program make_program(std::int32_t queues) {
    using namespace bpf;
    Program out{copy(kPacket, kArgument)};
    append(out, voice_to(queues - 1));
    if (queues == 2) {
        append(out, {set(kResult, 0), end()});
        return out;
    }
    append(out, what_names_the_flow());
    // Ports that follow each other must not meet in one queue: each bit of theirs counts.
    append(out, {copy(kResult, kKept2), shift_right(kResult, 16), exclusive_or(kResult, kKept2),
                 multiply(kResult, 0x45d9f3b), shift_right(kResult, 24), mask(kResult, 0xffff),
                 remainder(kResult, queues - 1), end()});
    return out;
}

std::string load_trouble(int error) {
    std::string message =
        std::string("the kernel does not load a program that chooses the queue: ") + std::strerror(error);
    if (error == EPERM || error == EACCES)
        message += "; give meshd CAP_BPF (or set kernel.unprivileged_bpf_disabled=0)";
    if (error == ENOSYS) message += "; it is built without BPF";
    return message;
}

}  // namespace

net::Result<Steering> Steering::load(std::size_t queues) {
    const int fd = bpf::load(make_program(static_cast<std::int32_t>(queues)));
    if (fd < 0) return net::fail(load_trouble(errno));
    return Steering(fd);
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
