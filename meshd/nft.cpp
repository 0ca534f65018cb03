#include "meshd/nft.hpp"

#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <optional>

extern char** environ;

namespace meshd {
namespace {

constexpr auto kNftPatience = std::chrono::seconds(5);
constexpr std::size_t kMostOfNft = 256 * 1024, kMostOfError = 1000;  // of what it prints

struct Pipe {
    loop::FileDescriptor read, write;
};

std::optional<Pipe> open_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
    return Pipe{loop::FileDescriptor(ends[0]), loop::FileDescriptor(ends[1])};
}

/// 0 and the child's number, or what errno would be.
int spawn_nft(std::vector<std::string> words, int input, int output, pid_t& child) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, output, 2);
    // What the daemon ignores or blocks is not for its child to inherit.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    words.insert(words.begin(), "nft");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int failed = ENOENT;
    for (const auto* const path : {"/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft"}) {
        failed = ::posix_spawn(&child, path, &actions, &attributes, arguments.data(), environ);
        if (failed != ENOENT) break;
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

/// SIGPIPE is ignored here. Some kilobytes, which a pipe takes whole.
void give_nft(int fd, const std::string& text) {
    std::size_t written = 0;
    while (written < text.size()) {
        const auto count = ::write(fd, text.data() + written, text.size() - written);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        written += static_cast<std::size_t>(count);
    }
}

/// Until its end. False: it took too long, or is to stop.
bool hear_nft(int fd, int stop, std::string& text) {
    const auto until = std::chrono::steady_clock::now() + kNftPatience;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        std::array<pollfd, 2> entries{pollfd{fd, POLLIN, 0}, pollfd{stop, POLLIN, 0}};
        const int ready = left.count() <= 0 ? 0 : ::poll(entries.data(), entries.size(), static_cast<int>(left.count()));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0 || (entries[1].revents != 0 && entries[0].revents == 0)) return false;
        std::array<char, 4096> buffer{};
        const auto count = ::read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return true;
        if (text.size() < kMostOfNft) text.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

}  // namespace

net::Result<std::string> run_nft(const std::vector<std::string>& words, const std::string& input, int stop) {
    auto in = open_pipe(), out = open_pipe();
    if (!in || !out) return net::fail("cannot make a pipe: " + std::string(std::strerror(errno)));
    pid_t child = 0;
    const int failed = spawn_nft(words, in->read.get(), out->write.get(), child);
    if (failed == ENOENT) return net::fail("the program nft is missing: apt-get install nftables");
    if (failed != 0) return net::fail("cannot run nft: " + std::string(std::strerror(failed)));
    in->read.close();
    out->write.close();
    give_nft(in->write.get(), input);
    in->write.close();
    std::string said;
    const bool ended = hear_nft(out->read.get(), stop, said);
    if (!ended) ::kill(child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) return net::fail("nft did not end within " + std::to_string(kNftPatience.count()) + " s");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
    said.resize(std::min(said.size(), kMostOfError));
    while (!said.empty() && said.back() == '\n') said.pop_back();
    return net::fail("nft says: " + said);
}

loop::FileDescriptor open_nft_news() {
    loop::FileDescriptor news(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1U << (NFNLGRP_NFTABLES - 1);
    if (news.get() >= 0 && ::bind(news.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) news.close();
    return news;
}

void drain_nft_news(int news) {
    constexpr int kMostAtOnce = 10000;
    std::array<char, 4096> buffer{};
    // A failure, such as ENOBUFS, is news that was lost, and there is more behind it; only EAGAIN is the end.
    for (int i = 0; i < kMostAtOnce; ++i) {
        if (::recv(news, buffer.data(), buffer.size(), 0) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    }
}

}  // namespace meshd
