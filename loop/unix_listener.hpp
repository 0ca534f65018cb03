/// Accepts connections on a UNIX socket, a line a message, and tells who is at the other end.
#pragma once

#include "loop/stream.hpp"

namespace loop {

/// The process at the other end, as the kernel knew it when it connected (SO_PEERCRED).
struct Credentials {
    std::uint32_t user_id = 0;
    std::uint32_t group_id = 0;
    std::int32_t process_id = 0;
};

/// One connection. An over-long line or a full queue closes it.
class LineConnection {
public:
    ~LineConnection();
    LineConnection(const LineConnection&) = delete;
    LineConnection& operator=(const LineConnection&) = delete;

    /// `line` comes without its end. `closed` is called once; whoever keeps the connection drops it there.
    void start(std::function<void(std::string_view line)> line, std::function<void()> closed);
    /// Adds the line's end. `text` must have none inside. False if the connection is closed or its queue is full.
    bool send_line(std::string_view text);
    /// Lets what is queued go out, then closes and tells `closed`.
    void close_when_drained();
    bool is_open() const;
    const Credentials& credentials() const;

private:
    friend class UnixListener;
    struct Inner;
    explicit LineConnection(std::shared_ptr<Inner> inner);
    std::shared_ptr<Inner> inner_;
};

class UnixListener {
public:
    struct Options {
        unsigned mode = 0660;                     ///< of the socket file
        std::size_t longest_line_bytes = 1 << 20;
        std::size_t queue_bytes = 8 << 20;
        std::size_t connections = 64;             ///< more are closed at once
    };
    /// Creates the socket file. A stale one, where nobody listens, is replaced; a live one is an error, and so is
    /// anything at that path that is no socket. Throws std::runtime_error. The file is removed at the end, unless
    /// somebody has put another in its place.
    UnixListener(Loop& loop, const std::string& path, const Options& options,
                 std::function<void(std::unique_ptr<LineConnection>)> accepted);
    ~UnixListener();
    UnixListener(const UnixListener&) = delete;
    UnixListener& operator=(const UnixListener&) = delete;

private:
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace loop
