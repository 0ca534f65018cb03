#include "meshd/masquerade.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "loop/file_descriptor.hpp"

extern char** environ;

namespace meshd {
namespace {

using nlohmann::json;

constexpr auto kPatience = std::chrono::seconds(10);
constexpr std::size_t kMostWords = 1000;  // of what nft says

json in_table(const std::string& device, json what) {
    what["family"] = "inet";
    what["table"] = "meshd-" + device;
    return what;
}

/// Away with it: a table that is not there cannot be deleted, but adding one that is there does nothing.
json removal(const std::string& device) {
    const json table{{"table", {{"family", "inet"}, {"name", "meshd-" + device}}}};
    return json::array({{{"add", table}}, {{"delete", table}}});
}

json interface_is(const char* key, const char* relation, const std::string& name) {
    return {{"match", {{"op", relation}, {"left", {{"meta", {{"key", key}}}}}, {"right", name}}}};
}

json rule(const std::string& device, bool v4, const std::vector<net::Prefix>& subnets) {
    const json family{{"match", {{"op", "=="}, {"left", {{"meta", {{"key", "nfproto"}}}}}, {"right", v4 ? "ipv4" : "ipv6"}}}};
    auto expressions = json::array({interface_is("iifname", "==", device), interface_is("oifname", "!=", device), family});
    // Each in a match of its own: a set takes none that overlap.
    const json destination{{"payload", {{"protocol", v4 ? "ip" : "ip6"}, {"field", "daddr"}}}};
    for (const auto& subnet : subnets) {
        if (subnet.address().is_v4() != v4) continue;
        const json prefix{{"prefix", {{"addr", subnet.address().text()}, {"len", subnet.length()}}}};
        expressions.push_back({{"match", {{"op", "!="}, {"left", destination}, {"right", prefix}}}});
    }
    expressions.push_back({{"masquerade", nullptr}});
    return {{"add", {{"rule", in_table(device, {{"chain", "exit"}, {"expr", std::move(expressions)}})}}}};
}

}  // namespace

std::string no_masquerade_rules(const std::string& device) { return json{{"nftables", removal(device)}}.dump(); }

std::string masquerade_rules(const std::string& device, const std::vector<net::Prefix>& subnets) {
    auto commands = removal(device);
    commands.push_back({{"add", {{"table", {{"family", "inet"}, {"name", "meshd-" + device}}}}}});
    commands.push_back({{"add",
                         {{"chain", in_table(device, {{"name", "exit"},
                                                      {"type", "nat"},
                                                      {"hook", "postrouting"},
                                                      {"prio", 100},  // NF_IP_PRI_NAT_SRC
                                                      {"policy", "accept"}})}}}});
    for (const bool v4 : {true, false}) commands.push_back(rule(device, v4, subnets));
    return json{{"nftables", std::move(commands)}}.dump();
}

net::Result<void> run_nft(const std::string& text) {
    std::array<int, 2> in{}, out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0) return net::fail("cannot make a pipe: " + std::string(std::strerror(errno)));
    loop::FileDescriptor in_read(in[0]), in_write(in[1]);
    if (::pipe2(out.data(), O_CLOEXEC) != 0) return net::fail("cannot make a pipe: " + std::string(std::strerror(errno)));
    loop::FileDescriptor out_read(out[0]), out_write(out[1]);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    // What the daemon ignores or blocks is not for its child to inherit.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::array<std::string, 4> words{"nft", "-j", "-f", "-"};
    std::array<char*, 5> arguments{words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
    pid_t child = 0;
    int failed = ENOENT;
    for (const auto* const path : {"/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft"}) {
        failed = ::posix_spawn(&child, path, &actions, &attributes, arguments.data(), environ);
        if (failed != ENOENT) break;
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed == ENOENT) return net::fail("the program nft is missing: apt-get install nftables, then restart meshd");
    if (failed != 0) return net::fail("cannot run nft: " + std::string(std::strerror(failed)));
    in_read.close();
    out_write.close();

    // SIGPIPE is ignored here. Some kilobytes, which a pipe takes whole.
    std::size_t written = 0;
    while (written < text.size()) {
        const auto count = ::write(in_write.get(), text.data() + written, text.size() - written);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        written += static_cast<std::size_t>(count);
    }
    in_write.close();
    std::string words_of_nft;
    const auto until = std::chrono::steady_clock::now() + kPatience;
    bool in_time = true;
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        pollfd entry{out_read.get(), POLLIN, 0};
        if (left.count() <= 0 || ::poll(&entry, 1, static_cast<int>(left.count())) == 0) {
            in_time = false;
            ::kill(child, SIGKILL);
            break;
        }
        std::array<char, 512> buffer{};
        const auto count = ::read(out_read.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        if (words_of_nft.size() < kMostWords) words_of_nft.append(buffer.data(), static_cast<std::size_t>(count));
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!in_time) return net::fail("nft did not end within " + std::to_string(kPatience.count()) + " s");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    words_of_nft.resize(std::min(words_of_nft.size(), kMostWords));
    while (!words_of_nft.empty() && words_of_nft.back() == '\n') words_of_nft.pop_back();
    return net::fail("nft refuses the rules of an exit node: " + words_of_nft);
}

void Masquerade::set(bool on, const std::vector<net::Prefix>& subnets) {
    if (!on && !on_) return;
    auto rules = on ? masquerade_rules(device_, subnets) : no_masquerade_rules(device_);
    if (rules == rules_) return;
    on_ = on;
    rules_ = std::move(rules);
    if (worker_.joinable()) worker_.join();
    worker_ = std::thread([rules = rules_, told = told_] {
        if (const auto done = run_nft(rules); !done) told(done.error().message);
    });
}

Masquerade::~Masquerade() {
    if (worker_.joinable()) worker_.join();
    if (on_) (void)run_nft(no_masquerade_rules(device_));
}

}  // namespace meshd
