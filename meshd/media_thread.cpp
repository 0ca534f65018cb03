#include "meshd/media_thread.hpp"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "loop/underlay_mark.hpp"
#include "loop/clock.hpp"
#include "loop/socket_address.hpp"

namespace meshd {
namespace {

constexpr int kExpeditedForwarding = 0xb8;  // DSCP 46, RFC 3246
constexpr int kEvents = 64;
constexpr int kTellEvery_ms = 500;
constexpr std::size_t kMaxPacketBytes = 2048;
constexpr std::size_t kMostCommands = 64;  // that wait for the thread to come by
constexpr std::uint64_t kWakeTag = 0;  // relay numbers begin at 1

constexpr int kMostLookedAt = 8;   // pairs that rest, for one that is silent
constexpr int kMostDrained = 256;  // more than a socket's buffer holds

std::uint64_t tag_of(voice::RelayId id, std::size_t socket) { return id << 2 | socket; }

/// A UDP socket on all addresses of the machine. Without IPv6 it is an IPv4 one.
loop::FileDescriptor open_socket(std::uint16_t port) {
    const int kinds = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    loop::FileDescriptor fd(::socket(AF_INET6, kinds, 0));
    sockaddr_storage address{};
    socklen_t length = 0;
    if (fd.is_open()) {
        const int off = 0;
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_TCLASS, &kExpeditedForwarding, sizeof kExpeditedForwarding);
        auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        length = sizeof v6;
    } else {
        fd = loop::FileDescriptor(::socket(AF_INET, kinds, 0));
        auto& v4 = reinterpret_cast<sockaddr_in&>(address);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        length = sizeof v4;
    }
    if (!fd.is_open()) return fd;
    loop::mark_underlay(fd.get());
    ::setsockopt(fd.get(), IPPROTO_IP, IP_TOS, &kExpeditedForwarding, sizeof kExpeditedForwarding);
    // Enough for a burst, too little for a queue that would be heard.
    const int buffer_bytes = 64 * 1024;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) fd.close();
    return fd;
}

/// Whether anything has come in since it was asked last. What has is gone.
bool has_heard(const loop::FileDescriptor& fd) {
    int count = 0;
    std::byte none;
    while (count < kMostDrained && ::recv(fd.get(), &none, 0, MSG_DONTWAIT | MSG_TRUNC) >= 0) ++count;
    return count > 0;
}

/// On a socket of both families an IPv4 address is written as ::ffff:a.b.c.d.
loop::SocketAddress destination(const net::Endpoint& to, int fd) {
    int domain = AF_INET6;
    socklen_t size = sizeof domain;
    ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    if (domain == AF_INET || to.address.is_v6()) return loop::to_socket_address(to);
    std::array<std::byte, 16> mapped{};
    mapped[10] = mapped[11] = std::byte{0xff};
    std::copy(to.address.bytes().begin(), to.address.bytes().end(), mapped.begin() + 12);
    return loop::to_socket_address({net::IpAddress::v6(mapped), to.port, 0});
}

/// Four sockets a call: the usual soft limit of 1024 ends at some 200 calls. The hard limit is ours to use. How many we have.
std::size_t allow_more_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    const auto before = limit.rlim_cur;
    if (limit.rlim_cur != limit.rlim_max) limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 65536);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

loop::FileDescriptor must(int fd, const char* what) {
    if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
    return loop::FileDescriptor(fd);
}

}  // namespace

MediaThread::MediaThread(Settings settings)
    : settings_(settings),
      next_port_(static_cast<std::uint16_t>((settings.first_port + 1) & ~1)),
      epoll_(must(::epoll_create1(EPOLL_CLOEXEC), "media thread: epoll")),
      wake_(must(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "media thread: eventfd")) {
    // A quarter of the descriptors, in pairs: the others are for calls, and for all else.
    settings_.most_resting = std::min(settings_.most_resting, allow_more_descriptors() / 8);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWakeTag;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
    thread_ = std::thread([this] { run(); });
}

MediaThread::~MediaThread() {
    order({});
    thread_.join();
}

/// A packet wakes the thread, and before it looks at one it obeys: until then nothing is urgent, and waking it costs more
/// than what is ordered. While it has sockets it comes by every half second.
void MediaThread::order(Command command) {
    bool wakes = false;
    {
        const std::lock_guard lock(mutex_);
        const auto kind = command.kind;
        commands_.push_back(std::move(command));
        // A relay that has just been opened passes nothing yet: where its packets go is the order that follows.
        wakes = kind == Command::Kind::stop || commands_.size() >= kMostCommands || (idle_ && kind != Command::Kind::open);
        if (wakes) wakes = !std::exchange(waking_, true);
    }
    if (wakes) wake();
}

void MediaThread::wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

std::optional<MediaThread::Pair> MediaThread::open_pair() {
    // Round and round, so that a port which has just been closed rests as long as it can.
    const auto first = (settings_.first_port + 1) & ~1;
    const auto pairs = (settings_.last_port - first + 1) / 2;
    for (int tried = 0; tried < pairs; ++tried) {
        Pair pair;
        pair.port = next_port_;
        next_port_ = static_cast<std::uint16_t>(pair.port + 3 > settings_.last_port ? first : pair.port + 2);
        pair.sockets[0] = open_socket(pair.port);
        if (!pair.sockets[0].is_open()) continue;
        pair.sockets[1] = open_socket(static_cast<std::uint16_t>(pair.port + 1));
        if (pair.sockets[1].is_open()) return pair;
    }
    return std::nullopt;
}

/// The one that has rested longest, if it has since then and was silent. Others rest anew.
std::optional<MediaThread::Pair> MediaThread::take_resting(net::Steady since, net::Steady now) {
    for (int i = 0; i < kMostLookedAt; ++i) {
        Pair pair;
        {
            const std::lock_guard lock(mutex_);
            if (resting_.empty() || resting_.front().since > since) return std::nullopt;
            pair = std::move(resting_.front().pair);
            resting_.pop_front();
        }
        const bool rtp = has_heard(pair.sockets[0]);
        const bool rtcp = has_heard(pair.sockets[1]);
        if (!rtp && !rtcp) return pair;
        const std::lock_guard lock(mutex_);
        resting_.push_back({std::move(pair), now});
    }
    return std::nullopt;
}

std::optional<MediaThread::Pair> MediaThread::take_pair(net::Steady now) {
    if (auto rested = take_resting(now - settings_.rest, now)) return rested;
    if (auto opened = open_pair()) return opened;
    return take_resting(net::Steady::max(), now);  // the range is used up: what has rested less is better than none
}

std::optional<voice::RelayPorts> MediaThread::open(net::Now now) {
    if (open_ >= settings_.max_relays) return std::nullopt;
    auto near = take_pair(now.steady);
    auto far = near ? take_pair(now.steady) : std::nullopt;
    if (!far) {
        wake();  // some may only wait for it to come by
        return std::nullopt;
    }
    Command command;
    command.pairs = {std::move(*near), std::move(*far)};
    voice::RelayPorts ports;
    ports.near_port = command.pairs[0].port;
    ports.far_port = command.pairs[1].port;
    ports.id = command.id = ++last_id_;
    for (std::size_t i = 0; i < 4; ++i) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = tag_of(command.id, i);
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, command.pairs[i / 2].sockets[i % 2].get(), &event);
    }
    command.kind = Command::Kind::open;
    ++open_;
    {
        const std::lock_guard lock(mutex_);
        told_[ports.id] = {};
    }
    order(std::move(command));
    return ports;
}

void MediaThread::set_remote(voice::RelayId id, voice::Leg leg, const voice::LegRemote& remote, net::Now) {
    Command command;
    command.kind = Command::Kind::remote;
    command.id = id;
    command.leg = leg;
    command.remote = remote;
    order(std::move(command));
}

void MediaThread::close(voice::RelayId id) {
    {
        const std::lock_guard lock(mutex_);
        const auto told = told_.find(id);
        if (told == told_.end()) return;
        closed_.add(told->second);
        told_.erase(told);
    }
    --open_;
    Command command;
    command.kind = Command::Kind::close;
    command.id = id;
    order(std::move(command));
}

std::size_t MediaThread::resting() const {
    const std::lock_guard lock(mutex_);
    return resting_.size();
}

std::optional<voice::RelayStats> MediaThread::stats(voice::RelayId id) const {
    const std::lock_guard lock(mutex_);
    const auto found = told_.find(id);
    return found == told_.end() ? std::nullopt : std::optional(found->second);
}

void MediaThread::Drops::add(const voice::RelayStats& of) {
    for (const auto* leg : {&of.near, &of.far}) {
        not_media += leg->not_media;
        wrong_source += leg->wrong_source;
        over_rate += leg->over_rate;
    }
}

MediaThread::Drops MediaThread::drops() const {
    const std::lock_guard lock(mutex_);
    auto all = closed_;
    for (const auto& [id, stats] : told_) all.add(stats);
    return all;
}

void MediaThread::run() {
    std::array<epoll_event, kEvents> events{};
    auto told_at = loop::read_clocks().steady;
    while (obey()) {
        const int count = ::epoll_wait(epoll_.get(), events.data(), kEvents, idle_ ? -1 : kTellEvery_ms);
        const auto now = loop::read_clocks().steady;
        if (!obey()) return;
        for (int i = 0; i < count; ++i) {
            const auto tag = events[static_cast<std::size_t>(i)].data.u64;
            if (tag == kWakeTag) {
                std::uint64_t times = 0;
                [[maybe_unused]] const auto got = ::read(wake_.get(), &times, sizeof times);
            } else {
                packet(tag, now);
            }
        }
        if (now - told_at >= std::chrono::milliseconds(kTellEvery_ms)) {
            told_at = now;
            tell_stats();
            close_unused(now);
        }
    }
}

/// False once it is to end.
bool MediaThread::obey() {
    std::vector<Command> commands;
    for (;;) {
        commands.clear();
        {
            const std::lock_guard lock(mutex_);
            waking_ = false;
            idle_ = commands_.empty() && entries_.empty() && resting_.empty();
            if (commands_.empty()) return true;
            commands.swap(commands_);
        }
        for (auto& command : commands) {
            const auto found = entries_.find(command.id);
            switch (command.kind) {
            case Command::Kind::open: entries_[command.id].pairs = std::move(command.pairs); break;
            case Command::Kind::remote:
                if (found != entries_.end()) found->second.relay.set_remote(command.leg, command.remote);
                break;
            case Command::Kind::close:
                if (found == entries_.end()) break;
                rest(std::move(found->second.pairs), loop::read_clocks().steady);
                entries_.erase(found);
                break;
            case Command::Kind::stop:
                entries_.clear();
                return false;
            }
        }
    }
}

void MediaThread::rest(Pairs pairs, net::Steady now) {
    std::array<Pair, 2> oldest;  // closed without the lock
    for (const auto& pair : pairs) {
        for (const auto& fd : pair.sockets) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
    }
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        resting_.push_back({std::move(pairs[i]), now});
        if (resting_.size() <= settings_.most_resting) continue;
        oldest[i] = std::move(resting_.front().pair);
        resting_.pop_front();
    }
}

void MediaThread::close_unused(net::Steady now) {
    std::vector<Pair> unused;  // closed without the lock
    const std::lock_guard lock(mutex_);
    while (!resting_.empty() && now - resting_.front().since >= settings_.keep) {
        unused.push_back(std::move(resting_.front().pair));
        resting_.pop_front();
    }
}

void MediaThread::packet(std::uint64_t tag, net::Steady now) {
    const auto found = entries_.find(tag >> 2);
    if (found == entries_.end()) return;
    auto& entry = found->second;
    const auto at = static_cast<std::size_t>(tag & 3);
    std::array<std::byte, kMaxPacketBytes> buffer;
    loop::SocketAddress from;
    const auto size = ::recvfrom(entry.pairs[at / 2].sockets[at % 2].get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC,
                                 from.get(), &from.length);
    if (size <= 0 || static_cast<std::size_t>(size) > buffer.size()) return;
    const auto bytes = net::ByteView(buffer).first(static_cast<std::size_t>(size));
    const auto leg = at < 2 ? voice::Leg::near : voice::Leg::far;
    const auto channel = at % 2 == 0 ? voice::Channel::rtp : voice::Channel::rtcp;
    auto source = loop::to_endpoint(from.get());
    source.address = source.address.unmapped();
    entry.changed = true;
    const auto forward = entry.relay.receive(leg, channel, source, bytes, now);
    if (!forward) return;
    const int fd = entry.pairs[static_cast<std::size_t>(forward->leg)].sockets[at % 2].get();
    const auto to = destination(forward->to, fd);
    // What the kernel will not take now is too late anyway.
    [[maybe_unused]] const auto sent = ::sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL, to.get(), to.length);
}

void MediaThread::tell_stats() {
    const std::lock_guard lock(mutex_);
    for (auto& [id, entry] : entries_) {
        if (!std::exchange(entry.changed, false)) continue;
        if (const auto found = told_.find(id); found != told_.end()) found->second = entry.relay.stats();
    }
}

}  // namespace meshd
