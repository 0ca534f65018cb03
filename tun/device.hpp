/// The TUN device: IP packets of this machine come out of it, and what is written to it arrives on this machine.
/// It vanishes, with all its addresses and routes, when its descriptor closes, a crash included.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "net/result.hpp"
#include "tun/queue.hpp"

namespace tun {

/// What the kernel leaves to us in the packets that it gives, and takes from us in those that it is given.
struct Offloads {
    bool checksum = false;  ///< TCP and UDP checksums that are still to be completed
    bool tcp = false;       ///< superpackets of TCP; needs `checksum`
    bool udp = false;       ///< superpackets of UDP (Linux 6.2); needs `checksum`
    friend bool operator==(const Offloads&, const Offloads&) = default;
};

class Device {
public:
    struct Settings {
        static constexpr unsigned kMaxQueues = 8;
        std::string name = "mesh0";      ///< with "%d" inside the kernel chooses the number: "mesh%d"
        unsigned mtu_bytes = 1420;       ///< 1280 at least, or IPv6 does not work on it
        /// More: voice comes out of the last one, each flow of all else out of one of the others, where the kernel lets us
        /// choose. kMaxQueues at most.
        unsigned queues = 1;
        bool offloads = true;            ///< as many as the kernel has
        unsigned queue_packets = 500;    ///< what waits in each queue before packets are dropped (txqueuelen)
        unsigned gso_max_bytes = 65536;  ///< superpackets that the kernel gives are smaller; 65536 at most
    };

    /// Creates the device, without any address, and sets it up. The error says what to do: the module is missing, the
    /// right is missing, the name is taken.
    static net::Result<Device> open(const Settings& settings);

    const std::string& name() const { return name_; }
    int index() const { return index_; }

    /// One, or as many as were asked for; they stay where they are when the device is moved. Each must be read, or what comes out of it is
    /// lost; any may be written to. Reading and writing, and different queues, may be done from different threads.
    std::span<Queue> queues() { return queues_; }
    /// The first queue's.
    int fd() const { return queues_.front().fd(); }

    /// Voice comes out of queues().back(): what is marked EF, VOICE-ADMIT or CS3.
    bool steers_voice() const { return queues_.size() > 1; }
    /// Why there is one queue where more were asked for; empty if there are as many, or one was asked for.
    const std::string& steering_trouble() const { return steering_trouble_; }
    /// Why the queues do not tell when a packet came; empty if they do.
    const std::string& arrivals_trouble() const { return arrivals_trouble_; }

    /// What the kernel does for us now.
    Offloads offloads() const { return offloads_; }
    /// All that it would do: of superpackets only those that it takes from us, too, as was found when the device began.
    Offloads available() const { return available_; }
    /// False, and nothing changes, if the kernel refuses. Packets that wait already are given as they are; a reader
    /// must go on to look at their Offload.
    bool set_offloads(Offloads wanted);

private:
    Device() = default;
    net::Result<void> add_queue(int flags);
    void find_offloads();

    int index_ = 0;
    std::string name_;
    std::string steering_trouble_, arrivals_trouble_;
    Offloads offloads_, available_;
    std::vector<Queue> queues_;
};

}  // namespace tun
