#include "voice/stream.hpp"

#include <algorithm>
#include <utility>

#include "net/text.hpp"
#include "voice/message.hpp"

namespace voice {
namespace {

/// The lines of a header that have come whole, without a body's length: there will be none.
std::string bodiless(std::string_view begun) {
    auto end = begun.find("\r\n\r\n");
    if (end == begun.npos) end = begun.rfind("\r\n");
    begun = end == begun.npos ? std::string_view() : begun.substr(0, end + 2);
    std::string out;
    bool dropped = false;
    while (!begun.empty()) {
        const auto line = begun.substr(0, begun.find("\r\n") + 2);
        begun.remove_prefix(line.size());
        const auto name = net::trim(line.substr(0, line.find(':')));
        const bool folded = line.starts_with(' ') || line.starts_with('\t');
        dropped = folded ? dropped : net::equals_ignoring_case(name, "Content-Length") || net::equals_ignoring_case(name, "l");
        if (!dropped) out += line;
    }
    return out + "Content-Length: 0\r\n\r\n";
}

}  // namespace

void StreamFramer::break_with(std::string_view why) {
    state_ = State::broken;
    why_ = why;
    buffer_.resize(std::min(buffer_.size(), limits_.max_header_bytes));
    buffer_.shrink_to_fit();
    deadline_ = net::kNever;
}

void StreamFramer::feed(net::ByteView bytes, net::Now now) {
    if (state_ == State::broken) return;
    buffer_.append(net::as_text(bytes));
    if (state_ == State::between) skip_keep_alive();
    if (state_ == State::between && !buffer_.empty() && buffer_ != "\r") {
        state_ = State::inside;
        deadline_ = now.steady + limits_.max_message_time;
    }
}

/// Between messages only: two line ends in a row are a ping, one alone is a pong (RFC 5626 4.4.1).
void StreamFramer::skip_keep_alive() {
    std::size_t at = 0;
    while (buffer_.compare(at, 2, "\r\n") == 0) {
        at += 2;
        if (++crlfs_ == 2) {
            ++pings_;
            crlfs_ = 0;
        }
    }
    buffer_.erase(0, at);
    if (buffer_ == "\r") return;  // the other half is on its way
    if (crlfs_ == 1) {
        // A lone line end: a pong, or the first half of a ping whose other half is still to come. It counts as a pong
        // once; the other half then completes the ping.
        if (!buffer_.empty()) {
            ++pongs_;
            crlfs_ = 0;
        }
    }
}

unsigned StreamFramer::take_pings() { return std::exchange(pings_, 0); }

unsigned StreamFramer::take_pongs() {
    if (crlfs_ == 1 && buffer_.empty()) {
        crlfs_ = 0;
        ++pongs_;
    }
    return std::exchange(pongs_, 0);
}

std::optional<net::Bytes> StreamFramer::next(net::Now now) {
    if (state_ != State::inside) return std::nullopt;
    if (message_bytes_ == 0) {
        const auto end = buffer_.find("\r\n\r\n", scanned_);
        const auto header_bytes = end == buffer_.npos ? buffer_.size() : end + 4;
        if (header_bytes > limits_.max_header_bytes) {
            break_with("header too large");
            return std::nullopt;
        }
        if (end == buffer_.npos) {
            scanned_ = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
            return std::nullopt;
        }
        // Only Content-Length is read here; the message's own parser judges the rest.
        std::optional<std::uint64_t> length;
        std::string_view head(buffer_.data(), end);
        for (auto line_end = head.find("\r\n"); line_end != head.npos; line_end = head.find("\r\n")) {
            head.remove_prefix(line_end + 2);
            const auto line = head.substr(0, head.find("\r\n"));
            const auto colon = line.find(':');
            if (colon == line.npos || line.starts_with(' ') || line.starts_with('\t')) continue;
            const auto name = net::trim(line.substr(0, colon));
            if (!net::equals_ignoring_case(name, "Content-Length") && !net::equals_ignoring_case(name, "l")) continue;
            // A value on a folded line, as the grammar allows.
            auto value = net::trim(line.substr(colon + 1));
            if (value.empty()) {
                const auto folded = head.substr(std::min(line.size() + 2, head.size()));
                if (folded.starts_with(' ') || folded.starts_with('\t')) value = net::trim(folded.substr(0, folded.find("\r\n")));
            }
            const auto found = net::parse_decimal(value);
            // Two that disagree, or one that cannot be read: nobody knows where the next message begins.
            if (!found || (length && *length != *found)) {
                break_with("bad Content-Length");
                return std::nullopt;
            }
            length = found;
        }
        if (!length) {
            break_with("no Content-Length");
            return std::nullopt;
        }
        if (*length > limits_.max_message_bytes || header_bytes + *length > limits_.max_message_bytes) {
            break_with("message too large");
            return std::nullopt;
        }
        message_bytes_ = header_bytes + *length;
    }
    if (buffer_.size() < message_bytes_) return std::nullopt;

    auto message = net::copy(net::as_bytes(std::string_view(buffer_).substr(0, message_bytes_)));
    buffer_.erase(0, message_bytes_);
    message_bytes_ = 0;
    scanned_ = 0;
    state_ = State::between;
    deadline_ = net::kNever;
    feed({}, now);  // what stands behind it begins now
    return message;
}

void StreamFramer::expire(net::Now now, bool at_once) {
    if (state_ == State::inside && (at_once || now.steady >= deadline_)) break_with("too slow");
}

net::Bytes answer_to_broken(const StreamFramer& framer) {
    const auto request = Message::parse(net::as_bytes(bodiless(framer.begun())), true);
    if (!request) return request.error().response;
    if (!request->is_request() || request->method() == "ACK") return {};
    const auto why = framer.why();
    if (why.ends_with("too large")) return Message::response(*request, 513).to_bytes();
    if (why == "too slow") return Message::response(*request, 408).to_bytes();
    return Message::response(*request, 400, "Bad Request (" + std::string(why) + ")").to_bytes();
}

}  // namespace voice
