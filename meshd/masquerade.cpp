#include "meshd/masquerade.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "meshd/nft.hpp"

namespace meshd {
namespace {

using nlohmann::json;

constexpr auto kToldFor = std::chrono::hours(1);

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

std::vector<std::string> list_words(const std::string& device) { return {"-j", "list", "table", "inet", "meshd-" + device}; }

void wake_up(int event) {
    const std::uint64_t one = 1;
    (void)!::write(event, &one, sizeof one);
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

Masquerade::Masquerade(std::string device, Settings settings)
    : device_(std::move(device)),
      settings_(std::move(settings)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Masquerade::~Masquerade() {
    if (!thread_.joinable()) return;
    wake_up(stop_.get());
    thread_.join();
}

void Masquerade::set(bool on, const std::vector<net::Prefix>& subnets) {
    auto rules = on ? masquerade_rules(device_, subnets) : std::string();
    {
        const std::lock_guard lock(mutex_);
        if (rules == wanted_ && !left_behind_) return;
        wanted_ = std::move(rules);
    }
    wake_up(wake_.get());
    if (thread_.joinable()) return;
    may_stand_ = std::exchange(left_behind_, false);
    thread_ = std::thread([this] { run(); });
}

std::string Masquerade::trouble() const {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) return failure_;
    if (mended_ == 0 || std::chrono::steady_clock::now() - mended_at_ > kToldFor) return {};
    return "another program took away or changed the rules of an exit node in nftables, within the last hour; they were put back (" +
           std::to_string(mended_) + " times since meshd began): have it leave the table inet meshd-" + device_ + " alone";
}

void Masquerade::run() {
    news_ = open_nft_news();
    auto looked_at = std::chrono::steady_clock::now();
    bool has_news = false;
    for (;;) {
        const auto now = std::chrono::steady_clock::now();
        const auto rest_over = looked_at + settings_.rest;
        const auto due = has_news ? rest_over : looked_at + settings_.look_every;
        // Where no rules stand, or more of it is put off, news is none.
        std::array<pollfd, 3> entries{pollfd{stop_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0},
                                      pollfd{has_news || rules_.empty() ? -1 : news_.get(), POLLIN, 0}};
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::max(due - now, std::chrono::nanoseconds(0)));
        const bool waits_for_ever = rules_.empty();
        if (::poll(entries.data(), entries.size(), waits_for_ever ? -1 : static_cast<int>(left.count())) < 0 && errno != EINTR) return;
        if (entries[0].revents != 0) break;
        if (entries[1].revents != 0) {
            std::uint64_t count = 0;
            (void)!::read(wake_.get(), &count, sizeof count);
            {
                const std::lock_guard lock(mutex_);
                rules_ = wanted_;
            }
            apply();
            looked_at = std::chrono::steady_clock::now();
            has_news = false;
            continue;
        }
        if (entries[2].revents != 0) {
            drain_nft_news(news_.get());
            has_news = true;
        }
        const auto after = std::chrono::steady_clock::now();
        if (rules_.empty() || after < (has_news ? rest_over : due)) continue;
        has_news = false;
        look();
        looked_at = std::chrono::steady_clock::now();
    }
    if (may_stand_) (void)settings_.nft({"-j", "-f", "-"}, no_masquerade_rules(device_), -1);
}

/// What should stand, put there, or what may, taken away.
void Masquerade::apply() {
    if (rules_.empty() && !may_stand_) return;
    const auto done = settings_.nft({"-j", "-f", "-"}, rules_.empty() ? no_masquerade_rules(device_) : rules_, stop_.get());
    may_stand_ |= !rules_.empty();
    stands_.clear();
    if (!done) return note(done.error().message);
    note({});
    if (rules_.empty()) {
        may_stand_ = false;
        return;
    }
    if (auto listed = settings_.nft(list_words(device_), {}, stop_.get())) stands_ = std::move(*listed);
}

void Masquerade::look() {
    if (rules_.empty()) return;
    const bool stood = !stands_.empty();
    const auto listed = settings_.nft(list_words(device_), {}, stop_.get());
    if (stood && listed && *listed == stands_) return;
    apply();
    if (!stood || stands_.empty()) return;
    {
        const std::lock_guard lock(mutex_);
        mended_at_ = std::chrono::steady_clock::now();
        if (++mended_ > 1) return;
    }
    settings_.told("another program took away or changed the rules of an exit node in nftables: they have been put back, as they will "
                   "be from now on without a word");
}

void Masquerade::note(const std::string& failure) {
    pollfd stop{stop_.get(), POLLIN, 0};
    if (::poll(&stop, 1, 0) > 0) return;  // that is why
    const auto text = failure.empty() ? std::string()
                                      : "the packets of others do not leave this exit node as its own, so they get no answers: " +
                                            failure + ". It is tried again every half a minute";
    {
        const std::lock_guard lock(mutex_);
        if (text == failure_) return;
        failure_ = text;
    }
    if (!text.empty()) settings_.told(text);
}

}  // namespace meshd
