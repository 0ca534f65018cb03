#include "meshd/upward.hpp"

#include <utility>

namespace meshd {

namespace {

// Strangers are asked for cookies from an eighth of their queue on, and for a second after that.
constexpr std::size_t kLoadedFraction = 8;
constexpr net::Duration kLoadedFor = std::chrono::seconds(1);

// Anyone may forge them, and each only makes a peer's path be looked at sooner: a few are enough.
constexpr std::size_t kMaxTooBig = 16;
constexpr net::Duration kTooBigEvery = std::chrono::milliseconds(100);

}  // namespace

void UpwardQueue::frame(Upward::ControlFrame frame, mesh::DropCounters& drops) {
    add_of(waiting_.frames, std::move(frame), frames_of_, share_of(max_frames_), drops);
}

void UpwardQueue::packet(Upward::Packet packet, mesh::DropCounters& drops) {
    if (packet.carried && packet.voice) return add_of(waiting_.voice, std::move(packet), voice_of_, share_of(max_frames_), drops);
    const auto share = packet.carried ? carried_share_of(max_frames_) : packet_share_of(max_frames_);
    add_of(waiting_.packets, std::move(packet), packets_of_, share, drops);
}

void UpwardQueue::handshake(Upward::Handshake handshake, mesh::DropCounters& drops, net::Steady now) {
    add(waiting_.handshakes, std::move(handshake), max_handshakes_, mesh::Drop::stranger_queue_full, drops);
    const std::lock_guard lock(mutex_);
    if (waiting_.handshakes.size() >= max_handshakes_ / kLoadedFraction) loaded_until_ = now + kLoadedFor;
}

void UpwardQueue::too_big(const Upward::TooBig& news, net::Steady now) {
    wake_after([&] {
        auto& waiting = waiting_.too_big;
        const auto same = std::find_if(waiting.begin(), waiting.end(), [&](const auto& one) { return one.to == news.to; });
        if (same != waiting.end()) {
            same->underlay_bytes = std::min(same->underlay_bytes, news.underlay_bytes);
        } else if (waiting.size() < kMaxTooBig) {
            waiting.push_back(news);
        }
        if (now < too_big_from_) return false;
        too_big_from_ = now + kTooBigEvery;
        return true;
    });
}

void UpwardQueue::tick() {
    wake_after([this] {
        waiting_.tick = true;
        return true;
    });
}

Upward UpwardQueue::take(net::Steady now) {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    frames_of_.clear();
    packets_of_.clear();
    voice_of_.clear();
    waiting_.under_load = now < loaded_until_;
    return std::exchange(waiting_, {});
}

template <class Item>
void UpwardQueue::add_of(std::vector<Item>& queue, Item item, std::map<net::TunnelKey, std::size_t>& counts,
                         std::size_t share, mesh::DropCounters& drops) {
    wake_after([&] {
        auto& count = counts[item.peer];
        if (queue.size() >= max_frames_ || count >= share) {
            drops.add(mesh::Drop::control_queue_full);
            return false;
        }
        ++count;
        queue.push_back(std::move(item));
        return true;
    });
}

template <class Item>
void UpwardQueue::add(std::vector<Item>& queue, Item item, std::size_t most, mesh::Drop reason,
                      mesh::DropCounters& drops) {
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
void UpwardQueue::wake_after(Change change) {
    {
        const std::lock_guard lock(mutex_);
        if (!change() || std::exchange(woken_, true)) return;
    }
    if (wake_) wake_();
}

}  // namespace meshd
