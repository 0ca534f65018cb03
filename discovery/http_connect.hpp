/// CONNECT: how a connection is had through an HTTP proxy (RFC 9110 section 9.3.6). Passive, one thread's.
#pragma once

#include <string>

#include "net/bytes.hpp"

namespace discovery {

/// The request for a tunnel to `target`, "HOST:PORT" with IPv6 in brackets. With a user the password goes along, Basic (RFC
/// 7617), whose bytes here are the caller's to wipe. Neither may hold a line's end, nor the user a colon.
net::Bytes connect_request(std::string_view target, std::string_view user, std::string_view password);

/// What the proxy answers.
///
///   waiting --2xx and the end of its header--> open
///      '-- any other answer, none in HTTP, one too long, or bytes behind it --> failed
class ConnectAnswer {
public:
    enum class State : std::uint8_t { waiting, open, failed };
    static constexpr std::size_t kMaxBytes = 16384;  ///< of its headers, interim ones included

    /// Both are for why(); `with_password`: one went along with the request.
    ConnectAnswer(std::string target, bool with_password) : target_(std::move(target)), with_password_(with_password) {}

    /// Nothing is taken once it is open or has failed.
    void feed(net::ByteView bytes);
    State state() const { return state_; }
    /// Once failed: why, for people.
    const std::string& why() const { return why_; }

private:
    void look();
    void judge(std::string_view head);
    void fail(std::string why);

    std::string target_;
    bool with_password_;
    State state_ = State::waiting;
    std::string why_;
    std::string head_;
    std::size_t bytes_ = 0;  ///< of all that came
};

}  // namespace discovery
