/// The TUN device: IP packets of this machine come out of it, and what is written to it arrives on this machine.
/// It vanishes, with all its addresses and routes, when its descriptor closes, a crash included.
#pragma once

#include <string>

#include "net/bytes.hpp"
#include "net/result.hpp"

namespace tun {

class Device {
public:
    struct Settings {
        std::string name = "mesh0";  ///< with "%d" inside the kernel chooses the number: "mesh%d"
        unsigned mtu_bytes = 1420;   ///< 1280 at least, or IPv6 does not work on it
    };

    /// Creates the device, without any address, and sets it up. The error says what to do: the module is missing, the
    /// right is missing, the name is taken.
    static net::Result<Device> open(const Settings& settings);
    Device(Device&& other) noexcept;
    Device& operator=(Device&& other) noexcept;
    ~Device();

    const std::string& name() const { return name_; }
    int index() const { return index_; }
    /// Non-blocking; readable when a packet waits. Reading and writing may be done from different threads.
    int fd() const { return fd_; }

    /// The size of the packet that now starts `buffer`; nullopt if none waits. A packet never exceeds the MTU.
    std::optional<std::size_t> read(net::MutableBytes buffer) const;
    /// False if the kernel refused it: no IP packet, or its queue is full.
    bool write(net::ByteView packet) const;

private:
    Device() = default;
    int fd_ = -1;
    int index_ = 0;
    std::string name_;
};

}  // namespace tun
