#include "discovery/http_connect.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "net/wiped.hpp"

namespace discovery {
namespace {

constexpr std::string_view kHttp = "HTTP/1.";
constexpr std::size_t kMaxShown = 80;

/// What a stranger says, fit for a log.
std::string shown(std::string_view text) {
    std::string out;
    for (const char c : net::trim(text).substr(0, kMaxShown)) out += c >= ' ' && c <= '~' ? c : '?';
    return out;
}

std::string_view first_line(std::string_view text) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
}

/// The value of the first field of that name; empty if there is none.
std::string_view field_of(std::string_view head, std::string_view name) {
    for (auto end = head.find('\n'); end != head.npos; end = head.find('\n')) {
        head.remove_prefix(end + 1);
        const auto line = first_line(head);
        const auto colon = line.find(':');
        if (colon != line.npos && net::equals_ignoring_case(line.substr(0, colon), name)) return net::trim(line.substr(colon + 1));
    }
    return {};
}

/// Where the header ends, behind its empty line; npos if that has not come. A bare line feed ends a line, too (RFC 9112
/// section 2.2).
std::size_t end_of(std::string_view head) {
    for (auto at = head.find('\n'); at != head.npos; at = head.find('\n', at + 1)) {
        if (head.substr(at + 1, 1) == "\n") return at + 2;
        if (head.substr(at + 1, 2) == "\r\n") return at + 3;
    }
    return head.npos;
}

}  // namespace

net::Bytes connect_request(std::string_view target, std::string_view user, std::string_view password) {
    std::string text;
    text.reserve(2 * target.size() + 2 * (user.size() + password.size()) + 256);  // so that nothing of it stays behind
    text.append("CONNECT ").append(target).append(" HTTP/1.1\r\nHost: ").append(target).append("\r\n");
    if (!user.empty()) {
        std::string both;
        both.reserve(user.size() + password.size() + 1);
        const net::WipedAtEnd wipe_both(both);
        both.append(user).append(":").append(password);
        auto encoded = net::to_base64(net::as_bytes(both));
        const net::WipedAtEnd wipe_encoded(encoded);
        text.append("Proxy-Authorization: Basic ").append(encoded).append("\r\n");
    }
    text.append("\r\n");
    const net::WipedAtEnd wipe(text);
    return net::copy(net::as_bytes(text));
}

void ConnectAnswer::feed(net::ByteView bytes) {
    if (state_ != State::waiting) return;
    bytes_ += bytes.size();
    if (bytes_ > kMaxBytes) return fail("the proxy's answer does not end");
    head_ += net::as_text(bytes);
    look();
}

void ConnectAnswer::look() {
    while (state_ == State::waiting && !head_.empty()) {
        const auto known = std::min(head_.size(), kHttp.size());
        if (std::string_view(head_).substr(0, known) != kHttp.substr(0, known)) {
            return fail("what answers there is no HTTP proxy");
        }
        const auto end = end_of(head_);
        if (end == std::string::npos) return;
        const auto head = head_.substr(0, end);
        head_.erase(0, end);
        judge(head);
    }
}

void ConnectAnswer::judge(std::string_view head) {
    // HTTP/1.1 SP 3DIGIT [SP reason] (RFC 9112 section 4)
    const auto line = first_line(head);
    const auto code = line.size() >= 12 && line[8] == ' ' && (line.size() == 12 || line[12] == ' ')
                          ? net::parse_decimal(line.substr(9, 3))
                          : std::nullopt;
    if (!code || *code < 100) return fail("what answers there is no HTTP proxy");
    if (*code < 200) return;  // interim: another follows (RFC 9110 section 15.2)
    if (*code < 300) {
        // We speak first: what follows at once is nobody's that we asked for.
        if (!head_.empty()) return fail("the proxy says more than its answer");
        state_ = State::open;
        return;
    }
    if (*code == 407) {
        if (with_password_) return fail("the proxy refuses the user's name or password (407)");
        const auto asks = field_of(head, "Proxy-Authenticate");
        const auto scheme = shown(asks.substr(0, asks.find(' ')));
        if (!scheme.empty() && !net::equals_ignoring_case(scheme, "Basic")) {
            return fail("the proxy wants a password by " + scheme + " (407), and only Basic is known here");
        }
        return fail("the proxy wants a user's name and password (407)");
    }
    const auto said = shown(line.substr(9));
    if (*code == 403) return fail("the proxy does not allow connections to " + target_ + " (" + said + ")");
    fail("the proxy has no connection to " + target_ + " (" + said + ")");
}

void ConnectAnswer::fail(std::string why) {
    state_ = State::failed;
    why_ = std::move(why);
    head_ = {};
}

}  // namespace discovery
