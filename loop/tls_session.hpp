/// One TLS connection without its socket: what the wire brings goes in by feed(), what the wire is to carry comes out by
/// take_wire(). Passive, one thread's.
///
///   handshaking --done--> open --close_notify--> closed
///        '-- garbage, no common version, an untrusted certificate, an alert --> failed <-- garbage -- open
#pragma once

#include "loop/tls.hpp"

namespace loop {

class TlsSession {
public:
    enum class State : std::uint8_t { handshaking, open, closed, failed };

    /// A server's context answers, a client's begins: take_wire() has its first message at once. `peer` of a client: the
    /// domain or address that the certificate must be for, where the context verifies (RFC 5922 section 7: a "sip:" URI
    /// or a DNS name in subjectAltName, without wildcards; else the common name).
    explicit TlsSession(std::shared_ptr<const TlsContext> context, std::string peer = {});
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    /// Appends to `plain` what was protected. After closed and failed it takes nothing any more.
    void feed(net::ByteView wire, net::Bytes& plain);
    /// Kept until the handshake is done. Nothing is taken once closed or failed.
    void write(net::ByteView plain);
    /// Says close_notify, if open; nothing is written after it.
    void close();
    net::Bytes take_wire();

    State state() const { return state_; }
    /// Once failed: why, for people.
    const std::string& why() const { return why_; }
    std::size_t waiting_bytes() const { return waiting_.size(); }  ///< that write() keeps
    std::string alpn() const;  ///< what both agreed on; empty: nothing

private:
    struct Inner;
    void turn(net::Bytes& plain);
    void shake_hands();
    void write_waiting();
    void fail(std::string why);

    std::unique_ptr<Inner> inner_;
    State state_ = State::handshaking;
    std::string why_;
    net::Bytes waiting_;
};

}  // namespace loop
