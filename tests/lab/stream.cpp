/// stream: what the bench sends through a tunnel beside TCP, and what counts it on the other side.
///
///   stream voice ADDRESS PORT SECONDS                    50 packets a second like those of a call, marked EF
///   stream blast ADDRESS PORT FLOWS PACKETS_S SECONDS    small packets at a rate, the flows taking turns
///   stream receive PORT                                  counts both
///
/// The senders send on absolute deadlines, and print "sent N seconds S". The receiver prints "ready". Then it answers
/// each "tell" on standard input, until that ends, by what arrived since the last "forget", which it answers the same
/// way:
///
///   arrived N voice N p50_us N p99_us N max_us N
///
/// The delay is one way: both ends are on one machine, so a packet carries the time at which it was sent. When it
/// arrived is said by the kernel, so that a receiver which waits for a processor does not make the tunnel look slow; in
/// the same spirit packets that arrived at a full socket did arrive.
#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kVoiceIntervalNs = kSecondNs / 50;
constexpr std::size_t kVoiceBytes = 172;  ///< RTP's header (RFC 3550 5.1) and 20 ms of G.711
constexpr std::size_t kRtpHeaderBytes = 12;
constexpr std::size_t kBlastBytes = 200;
constexpr int kExpeditedForwarding = 46 << 2;     ///< RFC 3246, in the byte of IP_TOS
constexpr std::int64_t kTickNs = 250'000;         ///< a blast is made of bursts this far apart
constexpr std::int64_t kBurstMax = 128;           ///< a device's queue takes 500 packets
constexpr std::int64_t kDebtNs = 20 * 1'000'000;  ///< what a sender that was kept waiting makes up for, at most
constexpr int kSocketBufferBytes = 16 << 20;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kBytesMax = 2048;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::int64_t now_ns(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * kSecondNs + time.tv_nsec;
}

void sleep_until(std::int64_t monotonic_ns) {
    const timespec time{monotonic_ns / kSecondNs, monotonic_ns % kSecondNs};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
}

int open_socket() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    return fd;
}

void set_option(int fd, int level, int name, int value) {
    if (setsockopt(fd, level, name, &value, sizeof value) != 0) fail("setsockopt");
}

int connected_socket(const char* address, int port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
        throw std::runtime_error("not an IPv4 address: " + std::string(address));
    const int fd = open_socket();
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    return fd;
}

/// Bytes that no compression makes smaller.
template <std::size_t N>
std::array<std::uint8_t, N> noise() {
    std::array<std::uint8_t, N> bytes;
    std::uint32_t state = 1;
    for (auto& byte : bytes) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<std::uint8_t>(state >> 24);
    }
    return bytes;
}

void print_sent(std::int64_t packets, std::int64_t began_ns) {
    const auto seconds = static_cast<double>(now_ns(CLOCK_MONOTONIC) - began_ns) / kSecondNs;
    std::cout << "sent " << packets << " seconds " << seconds << std::endl;
}

void voice(const char* address, int port, double seconds) {
    const int fd = connected_socket(address, port);
    set_option(fd, IPPROTO_IP, IP_TOS, kExpeditedForwarding);
    auto packet = noise<kVoiceBytes>();
    packet[0] = 0x80;  // version 2
    packet[1] = 0;     // PCMU
    const auto began_ns = now_ns(CLOCK_MONOTONIC);
    const auto packets = static_cast<std::int64_t>(seconds * 50);
    for (std::int64_t i = 0; i < packets; ++i) {
        sleep_until(began_ns + i * kVoiceIntervalNs);
        const std::uint16_t sequence = htons(static_cast<std::uint16_t>(i));
        const std::uint32_t samples = htonl(static_cast<std::uint32_t>(i * 160));
        std::memcpy(&packet[2], &sequence, sizeof sequence);
        std::memcpy(&packet[4], &samples, sizeof samples);
        const auto sent_ns = now_ns(CLOCK_REALTIME);
        std::memcpy(&packet[kRtpHeaderBytes], &sent_ns, sizeof sent_ns);
        if (send(fd, packet.data(), packet.size(), 0) < 0 && errno != ENOBUFS && errno != ECONNREFUSED) fail("send");
    }
    print_sent(packets, began_ns);
}

void blast(const char* address, int port, int flows, double packets_s, double seconds) {
    std::vector<int> fds;
    for (int i = 0; i < flows; ++i) fds.push_back(connected_socket(address, port));
    auto packet = noise<kBlastBytes>();
    iovec part{packet.data(), packet.size()};
    std::array<mmsghdr, kBurstMax> messages{};
    for (auto& message : messages) {
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
    }
    std::int64_t sent = 0, skipped = 0;
    std::size_t turn = 0;
    const auto began_ns = now_ns(CLOCK_MONOTONIC);
    const auto until_ns = began_ns + static_cast<std::int64_t>(seconds * kSecondNs);
    const auto debt_max = static_cast<std::int64_t>(packets_s * kDebtNs / kSecondNs) + 1;
    for (auto tick_ns = began_ns + kTickNs; tick_ns <= until_ns; tick_ns += kTickNs) {
        sleep_until(tick_ns);
        const auto at_ns = now_ns(CLOCK_MONOTONIC);
        auto due =
            static_cast<std::int64_t>(static_cast<double>(at_ns - began_ns) * packets_s / kSecondNs) - sent - skipped;
        skipped += std::max<std::int64_t>(due - debt_max, 0);
        due = std::min({due, debt_max, kBurstMax});
        // The flows take turns within a burst as far as there are packets for them.
        for (const auto share = std::max<std::int64_t>(due / flows, 1); due > 0; turn = (turn + 1) % fds.size()) {
            const auto now = static_cast<unsigned>(std::min(share, due));
            const int done = sendmmsg(fds[turn], messages.data(), now, 0);
            if (done < 0 && errno != ENOBUFS && errno != ECONNREFUSED) fail("sendmmsg");
            due -= now;
            sent += now;
        }
    }
    print_sent(sent, began_ns);
}

class Receiver {
public:
    explicit Receiver(int port) : fd_(open_socket()) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(static_cast<std::uint16_t>(port));
        if (setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBufferBytes, sizeof kSocketBufferBytes) != 0)
            set_option(fd_, SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes);
        set_option(fd_, SOL_SOCKET, SO_TIMESTAMPNS, 1);
        if (bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
        for (std::size_t i = 0; i < kBatch; ++i) parts_[i] = {bytes_[i].data(), kBytesMax};
    }

    void run() {
        std::cout << "ready" << std::endl;
        for (;;) {
            std::array<pollfd, 2> watch{{{fd_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
            if (poll(watch.data(), watch.size(), -1) < 0 && errno != EINTR) fail("poll");
            if (watch[0].revents != 0) read_packets();
            if (watch[1].revents != 0 && !read_commands()) return;
        }
    }

private:
    void read_packets() {
        for (std::size_t i = 0; i < kBatch; ++i) {
            messages_[i].msg_hdr = {};
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
            messages_[i].msg_hdr.msg_control = controls_[i].data();
            messages_[i].msg_hdr.msg_controllen = controls_[i].size();
        }
        const int got = recvmmsg(fd_, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
        if (got < 0 && errno != EAGAIN && errno != EINTR) fail("recvmmsg");
        for (int i = 0; i < got; ++i) {
            ++arrived_;
            if (messages_[static_cast<std::size_t>(i)].msg_len == kVoiceBytes) take_voice(static_cast<std::size_t>(i));
        }
    }

    void take_voice(std::size_t i) {
        auto& header = messages_[i].msg_hdr;
        for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
            if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
            timespec arrived{};
            std::memcpy(&arrived, CMSG_DATA(c), sizeof arrived);
            std::int64_t sent_ns = 0;
            std::memcpy(&sent_ns, bytes_[i].data() + kRtpHeaderBytes, sizeof sent_ns);
            delays_ns_.push_back(arrived.tv_sec * kSecondNs + arrived.tv_nsec - sent_ns);
        }
    }

    bool read_commands() {
        std::array<char, 256> text{};
        const auto size = read(STDIN_FILENO, text.data(), text.size());
        if (size <= 0) return false;
        commands_.append(text.data(), static_cast<std::size_t>(size));
        for (std::size_t end; (end = commands_.find('\n')) != std::string::npos; commands_.erase(0, end + 1)) {
            if (commands_.compare(0, end, "forget") == 0) forget();
            tell();
        }
        return true;
    }

    void forget() {
        forgotten_ = dropped();
        arrived_ = 0;
        delays_ns_.clear();
    }

    void tell() {
        std::sort(delays_ns_.begin(), delays_ns_.end());
        std::cout << "arrived " << arrived_ + (dropped() - forgotten_) << " voice " << delays_ns_.size() << " p50_us "
                  << share_us(0.5) << " p99_us " << share_us(0.99) << " max_us " << share_us(1) << std::endl;
    }

    /// Packets that found the socket full, since it was opened.
    std::int64_t dropped() const {
        std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
        socklen_t size = sizeof info;
        if (getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, info.data(), &size) != 0) fail("SO_MEMINFO");
        return info[SK_MEMINFO_DROPS];
    }

    /// The delay that this share of the packets did not exceed.
    double share_us(double share) const {
        if (delays_ns_.empty()) return 0;
        const auto rank = static_cast<std::size_t>(share * static_cast<double>(delays_ns_.size() - 1) + 0.5);
        return static_cast<double>(delays_ns_[rank]) / 1000;
    }

    int fd_;
    std::int64_t arrived_ = 0;
    std::int64_t forgotten_ = 0;  ///< of the dropped
    std::string commands_;
    std::vector<std::int64_t> delays_ns_;
    std::array<std::array<char, kBytesMax>, kBatch> bytes_{};
    alignas(cmsghdr) std::array<std::array<char, 64>, kBatch> controls_{};
    std::array<iovec, kBatch> parts_{};
    std::array<mmsghdr, kBatch> messages_{};
};

int run(const std::vector<std::string>& words) {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // wake at the deadline, not up to 50 µs later
    if (words.size() == 4 && words[0] == "voice") {
        voice(words[1].c_str(), std::stoi(words[2]), std::stod(words[3]));
    } else if (words.size() == 6 && words[0] == "blast") {
        blast(words[1].c_str(), std::stoi(words[2]), std::stoi(words[3]), std::stod(words[4]), std::stod(words[5]));
    } else if (words.size() == 2 && words[0] == "receive") {
        Receiver(std::stoi(words[1])).run();
    } else {
        std::cerr
            << "usage: stream voice ADDRESS PORT SECONDS | blast ADDRESS PORT FLOWS PACKETS_S SECONDS | receive PORT\n";
        return 2;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::cerr << "stream: " << error.what() << "\n";
        return 1;
    }
}
