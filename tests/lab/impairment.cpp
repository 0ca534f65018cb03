#include "tests/lab/impairment.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace lab {

namespace {

net::Duration from_ms(double ms) { return net::Duration(std::llround(ms * 1e6)); }

}  // namespace

std::optional<net::Steady> Impairment::due(std::size_t frame_bytes, net::Steady now) {
    ++counters.offered;
    const bool lost = draw() * 100 < settings.loss_percent;
    const bool reordered = draw() * 100 < settings.reorder_percent;
    const double jitter_share = 2 * draw() - 1;

    if (settings.down) {
        ++counters.lost_down;
        return std::nullopt;
    }
    if (settings.rate_bit_s != 0) {
        const double rate_byte_s = static_cast<double>(settings.rate_bit_s) / 8;
        const double waiting_s = std::chrono::duration<double>(std::max(sent_until_ - now, net::Duration(0))).count();
        if (waiting_s * rate_byte_s + static_cast<double>(frame_bytes) > static_cast<double>(settings.queue_bytes)) {
            ++counters.lost_queue;
            return std::nullopt;
        }
        sent_until_ = std::max(sent_until_, now) + from_ms(1e3 * static_cast<double>(frame_bytes) / rate_byte_s);
        now = sent_until_;
    }
    if (lost) {
        ++counters.lost;
        return std::nullopt;
    }
    ++counters.delivered;
    if (reordered) return now;
    const auto jitter = net::Duration(std::llround(jitter_share * static_cast<double>(settings.jitter.count())));
    // A frame with less delay than the one before it arrives together with that one, as behind a queue.
    last_due_ = std::max(last_due_, now + std::max(settings.delay + jitter, net::Duration(0)));
    return last_due_;
}

bool apply_setting(Settings& settings, const std::string& line) {
    std::istringstream words(line);
    std::string name, rest;
    words >> name;
    if (name == "down" || name == "up") {
        if (words >> rest) return false;
        settings.down = name == "down";
        return true;
    }
    double value = 0;
    if (!(words >> value) || value < 0 || !std::isfinite(value) || words >> rest) return false;
    if (name == "delay") {
        settings.delay = from_ms(value);
    } else if (name == "jitter") {
        settings.jitter = from_ms(value);
    } else if (name == "loss" && value <= 100) {
        settings.loss_percent = value;
    } else if (name == "reorder" && value <= 100) {
        settings.reorder_percent = value;
    } else if (name == "rate") {
        settings.rate_bit_s = static_cast<std::uint64_t>(value * 1e6);
    } else if (name == "queue") {
        settings.queue_bytes = static_cast<std::size_t>(value);
    } else {
        return false;
    }
    return true;
}

}  // namespace lab
