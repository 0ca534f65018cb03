#include "mesh/activity.hpp"

#include <algorithm>

#include "mesh/protocol.hpp"

namespace mesh {

namespace {

constexpr net::Duration kReportAgainAfter = std::chrono::seconds(1);

// Who says that it is somewhere else with each packet has a table built so often, and no more: the data path follows it
// by itself meanwhile.
constexpr net::Duration kReportEvery = std::chrono::milliseconds(250);
constexpr int kReportsAtOnce = 4;

}  // namespace

bool PeerActivity::look_by(net::Steady at) {
    auto promised = looks_at_.load();
    while (at < promised) {
        if (looks_at_.compare_exchange_weak(promised, at)) return true;
    }
    return false;
}

bool PeerActivity::sent(net::Steady now, std::size_t bytes, bool data) {
    last_sent_.store(now, std::memory_order_relaxed);
    tx_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (unconfirmed_since_.load(std::memory_order_relaxed) != net::kNever) unconfirmed_since_.store(net::kNever);
    if (!data) return false;
    auto none = net::kNever;
    if (unanswered_since_.load(std::memory_order_relaxed) == net::kNever) {
        unanswered_since_.compare_exchange_strong(none, now);
    }
    return look_by(now + kNewHandshakeTime);
}

bool PeerActivity::received(net::Steady now, std::size_t bytes, bool data) {
    last_received_.store(now, std::memory_order_relaxed);
    rx_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (unanswered_since_.load(std::memory_order_relaxed) != net::kNever) unanswered_since_.store(net::kNever);
    if (!data) return false;
    auto none = net::kNever;
    if (unconfirmed_since_.load(std::memory_order_relaxed) == net::kNever) {
        unconfirmed_since_.compare_exchange_strong(none, now);
    }
    return look_by(now + kKeepaliveTimeout);
}

bool PeerActivity::seen_from(const net::Endpoint& from, net::Steady now) {
    auto due = now;
    {
        const std::lock_guard lock(endpoint_mutex_);
        if (from == elsewhere_from_ && now - kReportAgainAfter < elsewhere_at_) return false;
        elsewhere_from_ = from;
        elsewhere_at_ = now;
        moves_.fetch_add(1, std::memory_order_release);
        if (elsewhere_due_.load() != net::kNever) return false;
        paid_until_ = std::max(paid_until_, now) + kReportEvery;
        due = std::max(now, paid_until_ - kReportsAtOnce * kReportEvery);
        elsewhere_due_.store(due);
    }
    return look_by(due);
}

void PeerActivity::confirmed_from(const net::Endpoint& from) {
    const std::lock_guard lock(endpoint_mutex_);
    confirmed_from_ = from;
}

net::Endpoint PeerActivity::confirmed_from() const {
    const std::lock_guard lock(endpoint_mutex_);
    return confirmed_from_;
}

bool PeerActivity::want_rekey(net::Steady now) {
    if (rekey_wanted_.load(std::memory_order_relaxed) || rekey_wanted_.exchange(true)) return false;
    return look_by(now);
}

net::Endpoint PeerActivity::last_seen_from() const {
    const std::lock_guard lock(endpoint_mutex_);
    return elsewhere_from_;
}

std::optional<PeerActivity::Move> PeerActivity::take_seen_from(net::Steady now) {
    if (now < elsewhere_due_.load()) return std::nullopt;
    const std::lock_guard lock(endpoint_mutex_);
    elsewhere_due_.store(net::kNever);
    return Move{elsewhere_from_, moves_.load()};
}

}  // namespace mesh
