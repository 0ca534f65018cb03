/// Voice gets a queue of its own out of the kernel: a small program in the kernel chooses the queue by DSCP.
#pragma once

#include "net/result.hpp"

namespace tun {

/// Packets marked as speech (EF 46, VOICE-ADMIT 44) or as its signalling (CS3 24) come out of queue 1 of the device,
/// all others out of queue 0. The program belongs to the device then. The error says what the kernel does not allow: it
/// needs CAP_BPF or a kernel that lets everyone.
class Steering {
public:
    static net::Result<Steering> load();
    Steering(Steering&& other) noexcept;
    Steering& operator=(Steering&& other) noexcept;
    ~Steering();

    /// `queue_fd` is any queue of the device.
    net::Result<void> attach(int queue_fd) const;

private:
    explicit Steering(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace tun
