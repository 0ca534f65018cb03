#include "loop/datagram_burst.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "loop/clock.hpp"
#include "loop/socket_address.hpp"

namespace loop {
namespace {

constexpr std::size_t kBufferBytes = 65536;

template <std::size_t Bytes>
union ControlOf {
    char bytes[Bytes];
    cmsghdr align;
};

// The traffic class (int) and the size of a segment (16 bits).
using SendControl = ControlOf<CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint16_t))>;

template <class T>
void append_control(msghdr& message, char* begin, int level, int type, T value) {
    auto* const header = reinterpret_cast<cmsghdr*>(begin + message.msg_controllen);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(CMSG_DATA(header), &value, sizeof value);
    message.msg_control = begin;
    message.msg_controllen += CMSG_SPACE(sizeof value);
}

}  // namespace

struct SendBurst::Messages {
    static constexpr std::size_t kMost = 32;
    std::array<mmsghdr, kMost> headers;
    std::array<SocketAddress, kMost> addresses;
    std::array<iovec, kMost> pieces;
    std::array<SendControl, kMost> controls;

    void set(std::size_t i, const Send& send, std::byte* bytes) {
        addresses[i] = to_socket_address(send.to);
        pieces[i] = {bytes, send.bytes};
        auto& header = headers[i].msg_hdr;
        header = {};
        header.msg_name = addresses[i].get();
        header.msg_namelen = addresses[i].length;
        header.msg_iov = &pieces[i];
        header.msg_iovlen = 1;
        const bool v6 = send.to.address.is_v6();
        if (send.traffic_class != 0) {
            append_control(header, controls[i].bytes, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS,
                           int{send.traffic_class});
        }
        if (send.bytes > send.segment_bytes) {
            append_control(header, controls[i].bytes, IPPROTO_UDP, UDP_SEGMENT,
                           static_cast<std::uint16_t>(send.segment_bytes));
        }
    }
};

/// What is left of the time that a whole burst may wait.
class SendBurst::Patience {
public:
    explicit Patience(std::chrono::milliseconds most) : left_(most) {}

    /// After EAGAIN: until the socket has room again, or for all that is left. False, at once, if nothing was.
    bool wait(const Datagram& socket) {
        if (left_ <= left_.zero()) return false;
        const auto began = std::chrono::steady_clock::now();
        pollfd full{socket.fd(), POLLOUT, 0};
        const auto most = std::chrono::ceil<std::chrono::milliseconds>(left_);
        // An ICMP error that has not been taken yet ends poll() at once, each time.
        if (::poll(&full, 1, static_cast<int>(most.count())) > 0 && (full.revents & POLLOUT) == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        left_ -= std::chrono::steady_clock::now() - began;
        return true;
    }

private:
    std::chrono::nanoseconds left_;
};

/// While it lives, an IPv6 socket sends datagrams whole. IPV6_PMTUDISC_PROBE for good would do it, too, but for those that
/// the way does not take: of them no fragments are made then.
class SendBurst::AsKnown {
public:
    /// null: nothing is to be changed.
    explicit AsKnown(const Datagram* socket) : socket_(socket) { set(IPV6_PMTUDISC_PROBE); }
    ~AsKnown() { end(); }
    AsKnown(const AsKnown&) = delete;
    AsKnown& operator=(const AsKnown&) = delete;

    /// As the kernel believes, from now on: fragments, where it must be.
    void end() {
        set(IPV6_PMTUDISC_WANT);
        socket_ = nullptr;
    }

private:
    void set(int value) const {
        if (socket_ != nullptr) ::setsockopt(socket_->fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, sizeof value);
    }
    const Datagram* socket_;
};

SendBurst::SendBurst(std::size_t buffer_bytes) : buffer_(buffer_bytes), messages_(std::make_unique<Messages>()) {}
SendBurst::~SendBurst() = default;

net::MutableBytes SendBurst::room(std::size_t bytes) {
    if (buffer_.size() - used_ < bytes) return {};
    return net::MutableBytes(buffer_).subspan(used_);
}

void SendBurst::add(const net::Endpoint& to, std::uint8_t traffic_class, std::size_t bytes, Sending how) {
    how.whole = how.whole && to.address.is_v6();
    if (!sends_.empty() && !how.alone) {
        auto& last = sends_.back();
        if (!last.closed && bytes <= last.segment_bytes && traffic_class == last.traffic_class && to == last.to &&
            how.whole == last.whole &&
            last.bytes + bytes <= kMostSegmentedBytes && last.bytes < last.segment_bytes * kMostSegments) {
            last.bytes += bytes;
            last.closed = bytes < last.segment_bytes;
            used_ += bytes;
            return;
        }
    }
    sends_.push_back({to, used_, bytes, bytes, traffic_class, how.alone, how.whole});
    used_ += bytes;
}

std::size_t SendBurst::send(const Datagram* v4, const Datagram* v6, std::chrono::milliseconds patience) {
    std::size_t lost = 0;
    left_whole_ = true;
    Patience left(patience);
    for (std::size_t first = 0; first < sends_.size();) {
        const bool is_v6 = sends_[first].to.address.is_v6(), whole = sends_[first].whole;
        const auto alike = [&](const Send& send) { return send.to.address.is_v6() == is_v6 && send.whole == whole; };
        auto last = first + 1;  // as many as one call takes
        while (last < sends_.size() && last - first < Messages::kMost && alike(sends_[last])) ++last;
        const auto* const socket = is_v6 ? v6 : v4;
        if (socket == nullptr) {
            for (; first < last; ++first) lost += sends_[first].count();
            continue;
        }
        AsKnown as_known(whole ? socket : nullptr);
        while (first < last) first += send_some(*socket, first, last, lost, left, as_known);
    }
    sends_.clear();
    used_ = 0;
    if (lost != 0) left_whole_ = false;
    return lost;
}

std::size_t SendBurst::send_some(const Datagram& socket, std::size_t first, std::size_t last, std::size_t& lost,
                                 Patience& patience, AsKnown& as_known) {
    if (!segments()) {
        lost += send_each(socket, sends_[first], patience, as_known);
        return 1;
    }
    for (auto i = first; i < last; ++i) messages_->set(i - first, sends_[i], buffer_.data() + sends_[i].offset);
    const auto count = static_cast<unsigned>(last - first);
    int too_big = 0;
    for (int errors = 0; errors < 3;) {
        const auto taken = ::sendmmsg(socket.fd(), messages_->headers.data(), count, MSG_NOSIGNAL);
        if (taken > 0) return static_cast<std::size_t>(taken);
        if (errno == EAGAIN) {
            if (patience.wait(socket)) continue;
            break;
        }
        ++errors;
        // EIO: this kernel, or the interface that it would leave by, makes no checksums of segments.
        if (errno == EIO) set_segments(false);
        // EINVAL, EMSGSIZE: larger segments than this way takes; the kernel may fragment a single one. One EMSGSIZE may
        // be an earlier datagram's: a router's word, which anyone may forge.
        if (errno == EIO || errno == EINVAL || (errno == EMSGSIZE && ++too_big == 2)) {
            lost += send_each(socket, sends_[first], patience, as_known);
            return 1;
        }
        // The error of an earlier datagram (ICMP) may be handed to this call, and is cleared by that: try once more.
    }
    lost += sends_[first].count();
    return 1;
}

std::size_t SendBurst::send_each(const Datagram& socket, const Send& send, Patience& patience, AsKnown& as_known) {
    std::size_t lost = 0;
    if (send.count() > 1) left_whole_ = false;
    for (std::size_t at = 0; at < send.bytes; at += send.segment_bytes) {
        const auto size = std::min(send.segment_bytes, send.bytes - at);
        messages_->set(0, {send.to, send.offset + at, size, size, send.traffic_class}, buffer_.data() + send.offset + at);
        bool sent = false;
        // The first error may be an earlier datagram's.
        for (int errors = 0; errors < 2;) {
            sent = ::sendmsg(socket.fd(), &messages_->headers[0].msg_hdr, MSG_NOSIGNAL) >= 0;
            if (sent) break;
            if (errno != EAGAIN) {
                ++errors;
                if (errno == EMSGSIZE) as_known.end();  // it may have been the interface that does not take it any more
            } else if (!patience.wait(socket)) {
                break;
            }
        }
        if (!sent) ++lost;
    }
    return lost;
}

struct ReceiveBurst::Messages {
    explicit Messages(std::size_t count) : headers(count), addresses(count), pieces(count), controls(count) {}
    std::vector<mmsghdr> headers;
    std::vector<SocketAddress> addresses;
    std::vector<iovec> pieces;
    std::vector<ControlOf<256>> controls;
};

ReceiveBurst::ReceiveBurst(std::size_t buffers)
    : buffer_(buffers * kBufferBytes), messages_(std::make_unique<Messages>(buffers)) {
    items_.reserve(buffers);
}
ReceiveBurst::~ReceiveBurst() = default;

namespace {

/// How long ago that was by the wall clock, which is read when first asked for.
class Since {
public:
    std::chrono::nanoseconds operator()(const timespec& stamp) {
        if (now_ == net::Wall{}) now_ = read_clocks().wall;
        const auto at = std::chrono::seconds(stamp.tv_sec) + std::chrono::nanoseconds(stamp.tv_nsec);
        return std::max(now_.time_since_epoch() - at, std::chrono::nanoseconds{});
    }

private:
    net::Wall now_{};
};

}  // namespace

std::span<const ReceiveBurst::Item> ReceiveBurst::receive(const Datagram& socket) {
    items_.clear();
    auto& headers = messages_->headers;
    for (std::size_t i = 0; i < headers.size(); ++i) {
        messages_->pieces[i] = {buffer_.data() + i * kBufferBytes, kBufferBytes};
        auto& header = headers[i].msg_hdr;
        header = {};
        header.msg_name = messages_->addresses[i].get();
        header.msg_namelen = sizeof messages_->addresses[i].storage;
        header.msg_iov = &messages_->pieces[i];
        header.msg_iovlen = 1;
        header.msg_control = messages_->controls[i].bytes;
        header.msg_controllen = sizeof messages_->controls[i].bytes;
    }
    constexpr int kAttempts = 16;  // each may take one pending ICMP error away
    int count = -1;
    for (int attempt = 0; attempt < kAttempts && count < 0; ++attempt) {
        count = ::recvmmsg(socket.fd(), headers.data(), static_cast<unsigned>(headers.size()), 0, nullptr);
        if (count < 0 && errno == EAGAIN) return {};
    }
    Since since;
    for (int i = 0; i < count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        auto& header = headers[at].msg_hdr;
        const std::size_t size = headers[at].msg_len;
        if ((header.msg_flags & MSG_TRUNC) != 0) {
            ++truncated_;
            continue;
        }
        if (size == 0) continue;
        Item item{net::MutableBytes(buffer_).subspan(at * kBufferBytes, size), size, to_endpoint(messages_->addresses[at].get())};
        for (auto* note = CMSG_FIRSTHDR(&header); note != nullptr; note = CMSG_NXTHDR(&header, note)) {
            if (note->cmsg_level == IPPROTO_UDP && note->cmsg_type == UDP_GRO) {
                int segment = 0;
                std::memcpy(&segment, CMSG_DATA(note), sizeof segment);
                if (segment > 0) item.segment_bytes = static_cast<std::size_t>(segment);
            } else if (note->cmsg_level == SOL_SOCKET && note->cmsg_type == SO_RXQ_OVFL) {
                std::uint32_t told = 0;
                std::memcpy(&told, CMSG_DATA(note), sizeof told);
                overflowed_ += static_cast<std::uint32_t>(told - told_);
                told_ = told;
            } else if (note->cmsg_level == IPPROTO_IP && note->cmsg_type == IP_TOS) {
                std::memcpy(&item.traffic_class, CMSG_DATA(note), 1);
            } else if (note->cmsg_level == IPPROTO_IPV6 && note->cmsg_type == IPV6_TCLASS) {
                int value = 0;
                std::memcpy(&value, CMSG_DATA(note), sizeof value);
                item.traffic_class = static_cast<std::uint8_t>(value);
            } else if (note->cmsg_level == SOL_SOCKET && note->cmsg_type == SCM_TIMESTAMPNS) {
                timespec stamp{};
                std::memcpy(&stamp, CMSG_DATA(note), sizeof stamp);
                item.waited = since(stamp);
            }
        }
        items_.push_back(item);
    }
    return items_;
}

}  // namespace loop
