/// A connected byte stream on a loop, TCP, UNIX or TLS over TCP: bounded queue out, callbacks in.
#pragma once

#include <string>
#include <string_view>

#include "loop/file_descriptor.hpp"
#include "loop/loop.hpp"
#include "loop/tls_session.hpp"
#include "net/address.hpp"

namespace loop {

class ReadTurns;

/// Why a stream ended.
struct Closed {
    enum class Reason : std::uint8_t { by_peer, by_us, refused, reset, timed_out, unreachable, insecure /*TLS*/, failed };
    Reason reason = Reason::by_peer;
    std::string text;  ///< for people: "connection refused"
};

class Stream {
public:
    struct Events {
        /// May be empty; of accepted streams only called for TLS, when the handshake is done.
        std::function<void()> connected;
        std::function<void(net::ByteView)> received;            ///< borrowed until return
        std::function<void(const Closed&)> closed;              ///< once, and nothing after it; not called after close()
        std::function<void()> drained;                          ///< may be empty: the queue has become empty
    };
    struct Limits {
        std::size_t queue_bytes = 1 << 20;  ///< what may wait to be written
        net::Duration connect_timeout = std::chrono::seconds(5);  ///< TLS: the handshake included, of accepted ones too
        /// TCP_USER_TIMEOUT: how long sent data may stay unacknowledged before the stream is closed; 0: the system's.
        std::chrono::milliseconds unacknowledged_timeout{0};
        int receive_buffer_bytes = 0;  ///< SO_RCVBUF: what the kernel takes before it is read; 0: as the system has it
        int send_buffer_bytes = 0;     ///< SO_SNDBUF: what it keeps until that is acknowledged; 0: as the system has it
        int unsent_bytes = 0;          ///< TCP_NOTSENT_LOWAT: of that, what may wait to be sent; 0: as the system has it
        /// Whom it shares the turns of reading with; outlives it. None: it is read as it comes, 64 kB a turn at most.
        ReadTurns* turns = nullptr;
    };

    /// Connects to `to`, from `source` unless that is none. Failures come by `closed`, never from here.
    static std::unique_ptr<Stream> connect_tcp(Loop& loop, const net::Endpoint& to, Events events,
                                               const Limits& limits, const net::IpAddress& source = {});
    static std::unique_ptr<Stream> connect_tcp(Loop& loop, const net::Endpoint& to, Events events);
    /// Takes over a connected socket, as listeners do. Nothing is read before start().
    static std::unique_ptr<Stream> adopt(Loop& loop, FileDescriptor socket, const Limits& limits);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// From the first byte on it is TLS: what is written and received is what that protects. Before start(), or right after
    /// connect_tcp(). Or from now on, on a stream that is open, with nothing queued, behind a proxy's answer: `connected` is
    /// then called once more.
    void secure(std::unique_ptr<TlsSession> session);
    /// For streams from a listener: from now on events are told.
    void start(Events events);
    /// Queues (and writes at once what the kernel takes). False, with nothing taken, if the stream is closed or its
    /// queue would exceed its limit. May be called before it is connected.
    bool write(net::ByteView bytes);
    std::size_t queued_bytes() const;
    std::size_t unread_bytes() const;  ///< that the kernel has of it; of TLS as they came
    /// Writes what is queued (nothing, if it is not connected yet), then closes and tells `closed` (by_us); gives up after 5 s. Nothing
    /// is read any more; where something came that was not, the other end has a second to read what was written.
    void close_when_drained();
    /// At once, without a callback; what is queued is lost.
    void close();
    bool is_open() const;  ///< connecting or connected

    net::Endpoint local() const;   ///< none for UNIX streams
    net::Endpoint remote() const;  ///< none for UNIX streams
    int fd() const;                ///< -1 if closed

private:
    struct Inner;
    explicit Stream(std::shared_ptr<Inner> inner);
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
