/// The media thread: the sockets of all relays, and the one thread that runs them. What to do with a packet,
/// voice::Relay decides.
///
/// A closed relay's sockets rest, to be used again: opening and closing them costs more than all else of a relay. They
/// rest until nothing has come in for a while, so that a late packet of one call reaches no other.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "loop/file_descriptor.hpp"
#include "voice/media.hpp"

namespace meshd {

/// All functions are the control thread's; none waits for the media thread.
class MediaThread final : public voice::MediaPorts {
public:
    struct Settings {
        std::uint16_t first_port = 20000;
        std::uint16_t last_port = 29999;
        std::size_t max_relays = 2500;  ///< four ports each, of which this range has as many
        net::Duration rest = std::chrono::seconds(2);   ///< how long nothing must have come in
        net::Duration keep = std::chrono::minutes(1);   ///< then what nobody has used is closed
        std::size_t most_resting = 1024;                ///< pairs of sockets; beyond it the oldest are closed
    };
    /// Starts the thread. Throws std::system_error if the kernel has no epoll or eventfd left for it.
    explicit MediaThread(Settings settings);
    ~MediaThread() override;  ///< ends the thread and closes all sockets
    MediaThread(const MediaThread&) = delete;
    MediaThread& operator=(const MediaThread&) = delete;

    std::optional<voice::RelayPorts> open(net::Now now) override;
    /// Counts from the next packet on, as close() does.
    void set_remote(voice::RelayId id, voice::Leg leg, const voice::LegRemote& remote, net::Now now) override;
    void close(voice::RelayId id) override;
    std::optional<voice::RelayStats> stats(voice::RelayId id) const override;

    std::size_t relays() const { return open_; }
    std::size_t resting() const;  ///< pairs of sockets
    struct Drops {
        std::uint64_t not_media = 0, wrong_source = 0, over_rate = 0;
        void add(const voice::RelayStats& of);
    };
    /// What all relays so far have dropped, by reason; half a second old.
    Drops drops() const;

private:
    struct Pair {
        std::uint16_t port = 0;
        std::array<loop::FileDescriptor, 2> sockets;  ///< by channel
    };
    using Pairs = std::array<Pair, 2>;  ///< by leg
    struct Resting {
        Pair pair;
        net::Steady since;
    };
    struct Command {
        enum class Kind : std::uint8_t { open, remote, close, stop };
        Kind kind = Kind::stop;
        voice::RelayId id = 0;
        Pairs pairs;
        voice::Leg leg = voice::Leg::near;
        voice::LegRemote remote;
    };
    struct Entry {
        voice::Relay relay;
        Pairs pairs;
        bool changed = true;  ///< since its statistics were told last
    };

    std::optional<Pair> take_pair(net::Steady now);
    std::optional<Pair> take_resting(net::Steady since, net::Steady now);
    std::optional<Pair> open_pair();
    void rest(Pairs pairs, net::Steady now);
    void order(Command command);
    // --- media thread
    void run();
    bool obey();
    void wake();
    void packet(std::uint64_t tag, net::Steady now);
    void tell_stats();
    void close_unused(net::Steady now);

    Settings settings_;
    std::uint16_t next_port_;
    voice::RelayId last_id_ = 0;
    std::size_t open_ = 0;
    loop::FileDescriptor epoll_;
    loop::FileDescriptor wake_;

    mutable std::mutex mutex_;  ///< over the next six only
    std::vector<Command> commands_;
    bool waking_ = false;  ///< the thread has been woken for what stands there
    bool idle_ = false;    ///< it has no sockets, and waits for ever; only the thread changes it
    std::deque<Resting> resting_;  ///< the oldest first
    std::map<voice::RelayId, voice::RelayStats> told_;
    Drops closed_;  ///< by relays that are closed

    std::map<voice::RelayId, Entry> entries_;  ///< the media thread's alone
    std::thread thread_;
};

}  // namespace meshd
