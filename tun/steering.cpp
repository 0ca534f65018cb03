#include "tun/steering.hpp"

#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <array>
#include <cstring>
#include <utility>

#include "tun/bpf.hpp"

namespace tun {
namespace {

// RFC 3246, RFC 5865, RFC 4594 section 4.1
constexpr std::int32_t kExpedited = 46, kVoiceAdmit = 44, kSignalling = 24;

// The DSCP is the upper six bits of IPv4's second byte, and of the eight bits behind IPv6's version.
constexpr auto make_program() {
    using namespace bpf;
    return std::array{
        copy(kPacket, kArgument),
        load_packet(BPF_B, 0),
        shift_right(kResult, 4),
        skip_if(6, 3),
        load_packet(BPF_B, 1),
        shift_right(kResult, 2),
        skip(3),
        load_packet(BPF_H, 0),
        shift_right(kResult, 6),
        mask(kResult, 0x3f),
        skip_if(kExpedited, 4),
        skip_if(kVoiceAdmit, 3),
        skip_if(kSignalling, 2),
        set(kResult, 0),
        end(),
        set(kResult, 1),
        end(),
    };
}
constexpr auto kProgram = make_program();

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
    const int fd = bpf::load(kProgram);
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
