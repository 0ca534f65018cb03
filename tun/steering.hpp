/// Voice gets a queue of its own out of the kernel, and the flows of bulk are spread over the others: a small program in
/// the kernel chooses the queue.
#pragma once

#include "net/result.hpp"

namespace tun {

/// Packets marked as speech (EF 46, VOICE-ADMIT 44) or as its signalling (CS3 24) come out of the last queue of the device.
/// All others come out of those before: all that have the same addresses, and ports of TCP or UDP, out of the same one. The
/// program belongs to the device then. The error says what the kernel does not allow: it needs CAP_BPF or a kernel that lets
/// everyone.
class Steering {
public:
    /// For a device of so many queues, two at least.
    static net::Result<Steering> load(std::size_t queues);
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
