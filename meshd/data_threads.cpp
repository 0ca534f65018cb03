#include "meshd/data_threads.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "loop/clock.hpp"

namespace meshd {

namespace {

// A table and the time are taken once for so many packets, so that a removed peer's keys do not outlive a burst.
constexpr int kBurstPackets = 64;

// Strangers are asked for cookies from an eighth of their queue on, and for a second after that.
constexpr std::size_t kLoadedFraction = 8;
constexpr net::Duration kLoadedFor = std::chrono::seconds(1);

loop::FileDescriptor make_stop() {
    loop::FileDescriptor fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd.is_open()) throw std::system_error(errno, std::generic_category(), "cannot make an eventfd");
    return fd;
}

void signal(const loop::FileDescriptor& fd) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(fd.get(), &one, sizeof one);
}

// Waits until one of `fds` is readable; false once the first, an eventfd, is.
template <std::size_t N>
bool wait(std::array<pollfd, N>& fds) {
    while (::poll(fds.data(), fds.size(), -1) < 0) {
        if (errno != EINTR) return false;
    }
    return (fds[0].revents & POLLIN) == 0;
}

}  // namespace

/// The bounded queues to the control thread. Members and strangers wait apart, so neither starves the other.
class DataThreads::Upstairs {
public:
    explicit Upstairs(const Settings& settings) : settings_(settings) {}

    void frame(Upward::ControlFrame frame, mesh::DropCounters& drops) {
        add(waiting_.frames, std::move(frame), settings_.max_frames, mesh::Drop::control_queue_full, drops);
    }
    void packet(Upward::Packet packet, mesh::DropCounters& drops) {
        add(waiting_.packets, std::move(packet), settings_.max_frames, mesh::Drop::control_queue_full, drops);
    }
    void handshake(Upward::Handshake handshake, mesh::DropCounters& drops, net::Steady now) {
        add(waiting_.handshakes, std::move(handshake), settings_.max_handshakes, mesh::Drop::stranger_queue_full, drops);
        const std::lock_guard lock(mutex_);
        if (waiting_.handshakes.size() >= settings_.max_handshakes / kLoadedFraction) loaded_until_ = now + kLoadedFor;
    }
    void tick() {
        wake_after([this] {
            waiting_.tick = true;
            return true;
        });
    }
    Upward take(net::Steady now) {
        const std::lock_guard lock(mutex_);
        woken_ = false;
        waiting_.under_load = now < loaded_until_;
        return std::exchange(waiting_, {});
    }

private:
    template <class Item>
    void add(std::vector<Item>& queue, Item item, std::size_t most, mesh::Drop reason, mesh::DropCounters& drops) {
        wake_after([&] {
            if (queue.size() >= most) {
                drops.add(reason);
                return false;
            }
            queue.push_back(std::move(item));
            return true;
        });
    }
    template <class Change>
    void wake_after(Change change) {
        {
            const std::lock_guard lock(mutex_);
            if (!change() || std::exchange(woken_, true)) return;
        }
        if (settings_.wake) settings_.wake();
    }

    const Settings& settings_;
    std::mutex mutex_;
    Upward waiting_;
    bool woken_ = false;
    net::Steady loaded_until_ = net::Steady::min();
};

DataThreads::DataThreads(Settings settings)
    : settings_(std::move(settings)),
      stop_inbound_(make_stop()),
      stop_outbound_(make_stop()),
      upstairs_(std::make_unique<Upstairs>(settings_)) {
    std::string trouble;
    // With any port, the other family may have taken the one that we got.
    for (int attempt = 0; attempt < (settings_.port == 0 ? 16 : 1); ++attempt) {
        if (open_sockets(settings_.port, trouble)) break;
    }
    if (!udp4_ && !udp6_) throw std::runtime_error(trouble);
    port_ = (udp4_ ? udp4_ : udp6_)->local().port;
    inbound_ = std::thread([this] { run_inbound(); });
}

DataThreads::~DataThreads() { stop(); }

// True if both families have it. A family that the machine lacks is done without; a port taken in one is an error.
bool DataThreads::open_sockets(std::uint16_t port, std::string& trouble) {
    const net::IpAddress any4 = net::IpAddress::v4(0), any6 = net::IpAddress::v6(std::array<std::byte, 16>{});
    udp4_.reset();
    udp6_.reset();
    auto v4 = loop::Datagram::open({any4, port});
    auto v6 = loop::Datagram::open({any6, v4 ? v4->local().port : port});
    if (!v4) trouble = v4.error().message;
    if (!v6) trouble = v6.error().message;
    const bool taken = trouble.find("another program has this port") != std::string::npos;
    if ((!v4 || !v6) && taken && port != 0) return false;
    if (v4) udp4_ = std::move(*v4);
    if (v6) udp6_ = std::move(*v6);
    return udp4_ && udp6_;
}

void DataThreads::attach_tun(int fd) {
    detach_tun();
    {
        const std::lock_guard lock(tun_mutex_);
        tun_fd_ = fd;
    }
    outbound_ = std::thread([this, fd] { run_outbound(fd); });
}

void DataThreads::detach_tun() {
    {
        const std::lock_guard lock(tun_mutex_);
        tun_fd_ = -1;
    }
    if (!outbound_.joinable()) return;
    signal(stop_outbound_);
    outbound_.join();
    std::uint64_t ignored = 0;
    [[maybe_unused]] const auto got = ::read(stop_outbound_.get(), &ignored, sizeof ignored);
}

void DataThreads::stop() {
    detach_tun();
    if (!inbound_.joinable()) return;
    signal(stop_inbound_);
    inbound_.join();
    udp4_.reset();
    udp6_.reset();
}

void DataThreads::swap_table(std::shared_ptr<const mesh::ForwardingTable> table) {
    const std::lock_guard lock(table_mutex_);
    table_.swap(table);
}

std::shared_ptr<const mesh::ForwardingTable> DataThreads::table() const {
    const std::lock_guard lock(table_mutex_);
    return table_;
}

Upward DataThreads::take() { return upstairs_->take(loop::read_clocks().steady); }

void DataThreads::send(const mesh::Datagram& datagram) {
    const auto current = table();
    if (!current) {  // nobody to count for, and no overlay that it could loop through
        mesh::DropCounters nobody;
        return transmit(datagram.bytes, datagram.to, nobody);
    }
    if (current->in_overlay(datagram.to.address)) return current->drops->add(mesh::Drop::underlay_loop);
    transmit(datagram.bytes, datagram.to, *current->drops);
}

void DataThreads::transmit(net::ByteView bytes, const net::Endpoint& to, mesh::DropCounters& drops) const {
    const auto& socket = to.address.is_v6() ? udp6_ : udp4_;
    if (!socket || to.is_none() || socket->send(to, bytes) != loop::SendResult::sent) {
        drops.add(mesh::Drop::socket_error);
    }
}

void DataThreads::write_to_tun(net::ByteView packet, mesh::DropCounters& drops) {
    const std::lock_guard lock(tun_mutex_);
    if (tun_fd_ < 0 || ::write(tun_fd_, packet.data(), packet.size()) < 0) drops.add(mesh::Drop::device_error);
}

void DataThreads::run_inbound() {
    std::vector<std::byte> buffer(mesh::kMaxDatagramBytes);
    std::array<pollfd, 3> fds{{{stop_inbound_.get(), POLLIN, 0},
                               {udp4_ ? udp4_->fd() : -1, POLLIN, 0},
                               {udp6_ ? udp6_->fd() : -1, POLLIN, 0}}};
    while (wait(fds)) {
        for (auto* const socket : {udp4_ ? &*udp4_ : nullptr, udp6_ ? &*udp6_ : nullptr}) {
            if (socket == nullptr) continue;
            receive_burst(*socket, buffer);
            while (socket->take_error()) {
                // Told so that poll() does not return for it for ever. Who is unreachable, the timers find out: ICMP
                // may be forged.
            }
        }
    }
}

void DataThreads::receive_burst(loop::Datagram& socket, net::MutableBytes buffer) {
    const auto current = table();
    const auto now = loop::read_clocks().steady;
    for (int i = 0; i < kBurstPackets; ++i) {
        const auto received = socket.receive(buffer);
        if (!received) return;
        if (!current) continue;
        const auto result = mesh::inbound(*current, received->bytes, received->from, now);
        if (result.wake) upstairs_->tick();
        switch (result.verdict) {
            case mesh::Inbound::Verdict::tun: write_to_tun(result.bytes, *current->drops); break;
            case mesh::Inbound::Verdict::control:
                upstairs_->frame({result.peer, net::copy(result.bytes), received->from}, *current->drops);
                break;
            case mesh::Inbound::Verdict::handshake:
                upstairs_->handshake({net::copy(result.bytes), received->from}, *current->drops, now);
                break;
            case mesh::Inbound::Verdict::nothing:
            case mesh::Inbound::Verdict::drop: break;
        }
    }
}

void DataThreads::run_outbound(int tun_fd) {
    constexpr std::size_t kHeadroom = mesh::PacketBuffer::kHeadroomBytes;
    std::vector<std::byte> buffer(kHeadroom + mesh::kMaxDatagramBytes + mesh::PacketBuffer::kTailroomBytes);
    std::array<pollfd, 2> fds{{{stop_outbound_.get(), POLLIN, 0}, {tun_fd, POLLIN, 0}}};
    while (wait(fds)) {
        if ((fds[1].revents & (POLLERR | POLLNVAL)) != 0) return;  // the device is gone
        const auto current = table();
        const auto now = loop::read_clocks().steady;
        for (int i = 0; i < kBurstPackets; ++i) {
            const auto size = ::read(tun_fd, buffer.data() + kHeadroom, mesh::kMaxDatagramBytes);
            if (size < 0 && errno == EINTR) continue;
            if (size < 0 && errno == EAGAIN) break;
            if (size <= 0) return;
            if (!current) continue;
            const mesh::PacketBuffer packet{buffer, kHeadroom, static_cast<std::size_t>(size)};
            const auto result = mesh::outbound(*current, packet, now);
            if (result.wake) upstairs_->tick();
            switch (result.verdict) {
                case mesh::Outbound::Verdict::send: transmit(result.bytes, result.endpoint, *current->drops); break;
                case mesh::Outbound::Verdict::no_session:
                    upstairs_->packet({result.peer, net::copy(packet.packet())}, *current->drops);
                    break;
                case mesh::Outbound::Verdict::drop: break;
            }
        }
    }
}

}  // namespace meshd
