#include "tun/queue.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace tun {
namespace {

static_assert(Coalescer::kMaxPieces <= Queue::kMaxPieces);

iovec as_iovec(net::ByteView bytes) {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};  // writev() does not change it
}

}  // namespace

Queue::Queue(Queue&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      arrivals_(std::move(other.arrivals_)),
      refused_(other.refused()),
      refused_tcp_(other.refused_tcp()),
      refused_udp_(other.refused_udp()) {}

Queue& Queue::operator=(Queue&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(arrivals_, other.arrivals_);
    refused_ = other.refused_.exchange(refused());
    refused_tcp_ = other.refused_tcp_.exchange(refused_tcp());
    refused_udp_ = other.refused_udp_.exchange(refused_udp());
    return *this;
}

Queue::~Queue() {
    if (fd_ >= 0) ::close(fd_);
}

std::optional<Queue::Received> Queue::read(net::MutableBytes buffer) {
    std::array<std::byte, Offload::kBytes> header;
    const std::array<iovec, 2> parts{iovec{header.data(), header.size()}, iovec{buffer.data(), buffer.size()}};
    for (;;) {
        if (arrivals_) arrivals_->before_reading();
        const auto size = ::readv(fd_, parts.data(), static_cast<int>(parts.size()));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) {
            if (arrivals_ && errno == EAGAIN) arrivals_->found_empty();
            return std::nullopt;
        }
        const auto arrival = arrivals_ ? arrivals_->taken() : std::nullopt;
        const auto offload = Offload::read(header);
        if (!offload || size < static_cast<ssize_t>(header.size())) continue;  // none that we asked for
        return Received{*offload, static_cast<std::size_t>(size) - header.size(), arrival};
    }
}

void Queue::write(const Offload& offload, std::span<const net::ByteView> pieces) {
    std::array<std::byte, Offload::kBytes> header;
    std::array<iovec, kMaxPieces + 1> parts;
    std::size_t count = 0;
    bool good = pieces.size() <= kMaxPieces;
    if (good) {
        offload.write(header);
        parts[count++] = as_iovec(header);
        for (const auto& piece : pieces) parts[count++] = as_iovec(piece);
        ssize_t written = -1;
        do {
            written = ::writev(fd_, parts.data(), static_cast<int>(count));
        } while (written < 0 && errno == EINTR);
        good = written >= 0;
        // Not where the device is down, or memory is short: that is no matter of the packet's shape.
        if (!good && offload.gso != Gso::none && (errno == EINVAL || errno == EMSGSIZE)) {
            (offload.gso == Gso::udp ? refused_udp_ : refused_tcp_).fetch_add(1, std::memory_order_relaxed);
        }
    }
    if (!good) refused_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace tun
