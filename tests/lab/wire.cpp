/// wire: an Ethernet cable between two TAP devices that delays, jitters, loses, reorders and queues what it carries.
///
///   wire DEVICE_A DEVICE_B [SEED]
///
/// makes both devices, prints "ready", and carries frames until its standard input ends. Whoever started it moves the
/// devices where they belong, which keeps them attached; they vanish with this process. A line on standard input is
/// "a SETTING", "b SETTING" (frames that enter at A, at B) or "both SETTING" (impairment.hpp has the settings), or
/// "counters"; each is answered by one line.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <queue>
#include <stdexcept>
#include <vector>

#include "tests/lab/impairment.hpp"

namespace {

using lab::Impairment;

constexpr std::size_t kFrameBytesMax = 65536;
constexpr int kBatch = 64;  ///< frames read from one end before due ones of the other get their turn

int open_tap(const char* name) {
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) throw std::runtime_error(std::string("/dev/net/tun: ") + std::strerror(errno));
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) != 0) throw std::runtime_error(std::string(name) + ": " + std::strerror(errno));
    return fd;
}

struct Frame {
    net::Steady due;
    std::uint64_t number;  ///< keeps frames that are due together in order
    int to_fd;
    std::vector<char> bytes;

    bool operator<(const Frame& other) const {  // the queue's top is the largest
        return due != other.due ? due > other.due : number > other.number;
    }
};

class Wire {
public:
    Wire(const char* device_a, const char* device_b, std::uint64_t seed)
        : fds_{open_tap(device_a), open_tap(device_b)}, ways_{Impairment(2 * seed), Impairment(2 * seed + 1)} {}

    void run() {
        std::cout << "ready" << std::endl;
        while (!ended_) {
            send_due();
            std::array<pollfd, 3> watch{{{fds_[0], POLLIN, 0}, {fds_[1], POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
            timespec wait{};
            const bool waits = !frames_.empty();
            if (waits) {
                const auto left = std::max(frames_.top().due - now(), net::Duration(0));
                wait.tv_sec = left / std::chrono::seconds(1);
                wait.tv_nsec = (left % std::chrono::seconds(1)).count();
            }
            if (ppoll(watch.data(), watch.size(), waits ? &wait : nullptr, nullptr) < 0 && errno != EINTR)
                throw std::runtime_error(std::string("poll: ") + std::strerror(errno));
            for (std::size_t end = 0; end < 2; ++end) {
                if (watch[end].revents != 0) read_frames(end);
            }
            if (watch[2].revents != 0) read_commands();
        }
    }

private:
    static net::Steady now() { return std::chrono::steady_clock::now(); }

    static void write_frame(int fd, const char* bytes, std::size_t size) {
        // A device that is down or whose queue is full refuses: the frame is lost, as on a real wire.
        [[maybe_unused]] const auto written = write(fd, bytes, size);
    }

    void read_frames(std::size_t end) {
        for (int i = 0; i < kBatch; ++i) {
            const auto size = read(fds_[end], buffer_.data(), buffer_.size());
            if (size <= 0) return;
            const auto entered = now();
            const auto due = ways_[end].due(static_cast<std::size_t>(size), entered);
            if (!due) continue;
            const int to_fd = fds_[1 - end];
            if (*due <= entered) {
                write_frame(to_fd, buffer_.data(), static_cast<std::size_t>(size));
            } else {
                frames_.push({*due, ++number_, to_fd, {buffer_.data(), buffer_.data() + size}});
            }
        }
    }

    void send_due() {
        for (auto at = now(); !frames_.empty() && frames_.top().due <= at; frames_.pop()) {
            write_frame(frames_.top().to_fd, frames_.top().bytes.data(), frames_.top().bytes.size());
        }
    }

    void read_commands() {
        std::array<char, 4096> text{};
        const auto size = read(STDIN_FILENO, text.data(), text.size());
        if (size <= 0) {
            ended_ = size == 0 || errno != EINTR;
            return;
        }
        commands_.append(text.data(), static_cast<std::size_t>(size));
        for (std::size_t end; (end = commands_.find('\n')) != std::string::npos; commands_.erase(0, end + 1)) {
            std::cout << answer(commands_.substr(0, end)) << std::endl;
        }
    }

    std::string answer(const std::string& line) {
        if (line == "counters") {
            std::string text;
            for (std::size_t end = 0; end < 2; ++end) {
                const auto& c = ways_[end].counters;
                text += std::string(end == 0 ? "a" : " b") + " offered " + std::to_string(c.offered) + " delivered " +
                        std::to_string(c.delivered) + " lost " + std::to_string(c.lost) + " queue " +
                        std::to_string(c.lost_queue) + " down " + std::to_string(c.lost_down);
            }
            return text;
        }
        const auto space = line.find(' ');
        if (space == std::string::npos) return "what is \"" + line + "\"?";
        const auto which = line.substr(0, space), setting = line.substr(space + 1);
        bool known = which == "a" || which == "b" || which == "both";
        if (which != "b" && known) known = lab::apply_setting(ways_[0].settings, setting);
        if (which != "a" && known) known = lab::apply_setting(ways_[1].settings, setting);
        return known ? "ok" : "what is \"" + line + "\"?";
    }

    std::array<int, 2> fds_;  ///< closed with the process
    std::array<Impairment, 2> ways_;
    std::priority_queue<Frame> frames_;
    std::uint64_t number_ = 0;
    std::string commands_;
    std::vector<char> buffer_ = std::vector<char>(kFrameBytesMax);
    bool ended_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) {
        std::cerr << "usage: wire DEVICE_A DEVICE_B [SEED]\n";
        return 2;
    }
    try {
        Wire(argv[1], argv[2], argc == 4 ? std::stoull(argv[3]) : 1).run();
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "wire: " << error.what() << "\n";
        return 1;
    }
}
