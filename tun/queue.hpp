/// One queue of a TUN device: packets of this machine are read from it, packets for this machine are written to it.
#pragma once

#include <atomic>

#include "tun/arrivals.hpp"
#include "tun/coalesce.hpp"

namespace tun {

/// Owns its descriptor. One thread may read while another writes.
class Queue final : public PacketSink {
public:
    /// Takes a descriptor that TUNSETIFF made a queue, IFF_VNET_HDR among the flags: an Offload goes with each packet.
    explicit Queue(int fd) : fd_(fd) {}
    Queue(Queue&& other) noexcept;
    Queue& operator=(Queue&& other) noexcept;
    ~Queue() override;

    /// Non-blocking; readable when a packet waits.
    int fd() const { return fd_; }

    /// What to give read(): the kernel drops a packet that does not fit.
    static constexpr std::size_t kBufferBytes = 65536;
    struct Received {
        Offload offload;
        std::size_t size = 0;            ///< of the packet, which is at the start of the buffer
        std::optional<Arrival> arrival;  ///< unknown without note_arrivals()
    };
    /// Nullopt if no packet waits, or the device is gone (poll() tells which).
    std::optional<Received> read(net::MutableBytes buffer);
    /// From now on read() tells when a packet came. Before the first.
    void note_arrivals(Arrivals arrivals) { arrivals_ = std::move(arrivals); }
    bool notes_arrivals() const { return arrivals_.has_value(); }

    /// A packet that the kernel refuses is lost, and counted. So is one in more than kMaxPieces.
    void write(const Offload& offload, std::span<const net::ByteView> pieces) override;
    static constexpr std::size_t kMaxPieces = 128;

    /// Writes that were refused: no IP packet, the device is down, the kernel does not take this superpacket. Any
    /// thread.
    std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
    /// Of those, superpackets of TCP or of UDP that the kernel does not take as they are. Any thread.
    std::uint64_t refused_tcp() const { return refused_tcp_.load(std::memory_order_relaxed); }
    std::uint64_t refused_udp() const { return refused_udp_.load(std::memory_order_relaxed); }

private:
    int fd_;
    std::optional<Arrivals> arrivals_;
    std::atomic<std::uint64_t> refused_ = 0;
    std::atomic<std::uint64_t> refused_tcp_ = 0;
    std::atomic<std::uint64_t> refused_udp_ = 0;
};

}  // namespace tun
