#include "meshd/data_threads.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "loop/clock.hpp"
#include "meshd/scheduling.hpp"
#include "meshd/socket_steering.hpp"

namespace meshd {

namespace {

// For bursts that come while the thread is not on a processor. The kernel doubles it and counts what a packet really
// takes: 64 KiB take some 80. Its default of 208 KiB is five of them, and loses one in a hundred on a busy machine.
constexpr std::size_t kReceiveBufferBytes = 4 << 20;
constexpr loop::UdpOptions kBulkSocket{.reuse_port = true, .receive_buffer_bytes = kReceiveBufferBytes, .receive_times = true};

enum class Kind : std::uint8_t { voice, bulk, all };

// poll() until something is ready or `due`; to the nanosecond, as an uplink's next packet may be due in microseconds.
int wait(std::vector<pollfd>& fds, net::Steady due) {
    if (due == net::kNever) return ::ppoll(fds.data(), fds.size(), nullptr, nullptr);
    const auto now = due == net::Steady::min() ? due : loop::read_clocks().steady;
    const auto left = due > now ? std::chrono::duration_cast<std::chrono::nanoseconds>(due - now).count() : 0;
    const timespec span{left / 1'000'000'000, left % 1'000'000'000};
    return ::ppoll(fds.data(), fds.size(), &span, nullptr);
}

// Whether a socket may send there; what may not is counted. `table` may be null.
bool may_go_to(const mesh::ForwardingTable* table, const net::Endpoint& to) {
    if (mesh::is_virtual(to)) {
        if (table != nullptr) table->drops->add(mesh::Drop::no_endpoint);
        return false;
    }
    if (table == nullptr || !table->in_overlay(to.address)) return true;
    table->drops->add(mesh::Drop::underlay_loop);
    return false;
}

}  // namespace

DataThreads::DataThreads(Settings settings)
    : settings_(std::move(settings)),
      bulk_(settings_.single ? 1 : std::clamp<std::size_t>(settings_.queues, 1, mesh::kMaxQueues)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      upward_(settings_.max_frames, settings_.max_handshakes, settings_.wake) {
    if (settings_.uplink_bytes_per_s != 0) uplink_.emplace(settings_.uplink_bytes_per_s);
    if (!stop_.is_open()) throw std::system_error(errno, std::generic_category(), "cannot make an eventfd");
    std::string trouble;
    // With any port, the other family may have taken the one that we got.
    for (int attempt = 0; attempt < (settings_.port == 0 ? 16 : 1); ++attempt) {
        if (open_sockets(settings_.port, trouble)) break;
    }
    const auto& first = bulk_.front();
    if (!first.v4 && !first.v6) throw std::runtime_error(trouble);
    port_ = (first.v4 ? first.v4 : first.v6)->local().port;
    open_siblings(&Sockets::v4);
    open_siblings(&Sockets::v6);
    while (bulk_.size() > 1 && !bulk_.back().v4 && !bulk_.back().v6) bulk_.pop_back();
    set_udp_offloads(settings_.udp_offloads);
}

DataThreads::~DataThreads() { stop(); }

// True if both families have it. A family that the machine lacks is done without; a port taken in one is an error.
bool DataThreads::open_sockets(std::uint16_t port, std::string& trouble) {
    const net::IpAddress any4 = net::IpAddress::v4(0), any6 = net::IpAddress::v6(std::array<std::byte, 16>{});
    auto& first = bulk_.front();
    first = {};
    const auto open = [&](const net::IpAddress& any, std::uint16_t wanted) -> net::Result<loop::Datagram> {
        // A port that we share with ourselves, another meshd could share with us: so first without.
        auto probe = loop::Datagram::open({any, wanted});
        if (!probe) return probe;
        const auto local = probe->local();
        probe = net::fail("closed");
        return loop::Datagram::open(local, kBulkSocket);
    };
    auto v4 = open(any4, port);
    auto v6 = open(any6, v4 ? v4->local().port : port);
    if (!v4) trouble = v4.error().message;
    if (!v6) trouble = v6.error().message;
    const bool taken = trouble.find("another program has this port") != std::string::npos;
    if ((!v4 || !v6) && taken && port != 0) return false;
    if (v4) first.v4 = std::move(*v4);
    if (v6) first.v6 = std::move(*v6);
    return first.v4 && first.v6;
}

/// The others that share the port of the first, in the order that steer_datagrams() wants.
void DataThreads::open_siblings(Socket Sockets::*family) {
    const auto& first = bulk_.front().*family;
    if (!first) return;
    const auto open = [&](const loop::UdpOptions& options) -> Socket {
        auto opened = loop::Datagram::open(first->local(), options);
        return opened ? Socket(std::move(*opened)) : std::nullopt;
    };
    std::size_t bulk = 1;
    for (; bulk < bulk_.size(); ++bulk) {
        if (!(bulk_[bulk].*family = open(kBulkSocket))) break;
    }
    voice_.*family = open({.reuse_port = true});
    if (voice_.*family && steer_datagrams(*first, bulk)) return;
    // Without the filter the kernel would spread all by a hash.
    voice_.*family = {};
    for (std::size_t i = 1; i < bulk_.size(); ++i) bulk_[i].*family = {};
}

LaneSockets DataThreads::or_first(Sockets& own) {
    auto& first = bulk_.front();
    const auto choose = [](Socket& wanted, Socket& other) { return wanted ? &*wanted : other ? &*other : nullptr; };
    return {choose(own.v4, first.v4), choose(own.v6, first.v6)};
}

void DataThreads::start(std::span<tun::Queue> queues, tun::Coalescer::Settings coalescing) {
    delivers_to_ = &queues.front();
    const bool steered = queues.size() > 1;
    auto& voice_queue = queues.back();
    const auto bulk_queues = queues.first(steered ? queues.size() - 1 : 1);
    std::vector<Work> voice;
    std::vector<std::vector<Work>> bulk_in, bulk_out;
    if (steered) add_outbound(voice, mesh::Lane::voice, voice_queue, or_first(voice_));
    add_inbound(voice, mesh::Lane::voice, voice_, voice_queue, coalescing);
    for (std::size_t i = 0; i < bulk_.size(); ++i) {
        auto& queue = bulk_queues[std::min(i, bulk_queues.size() - 1)];  // which any thread may write to
        add_inbound(bulk_in.emplace_back(), mesh::bulk_lane(i), bulk_[i], queue, coalescing);
    }
    for (std::size_t i = 0; i < bulk_queues.size(); ++i) {
        auto& sockets = bulk_[std::min(i, bulk_.size() - 1)];
        add_outbound(bulk_out.emplace_back(), mesh::bulk_lane(i), bulk_queues[i], or_first(sockets));
    }
    const auto launch = [this](std::vector<Work> works, Kind kind) {
        threads_.emplace_back([this, kind, works = std::move(works)] {
            switch (kind) {
                case Kind::voice: schedule_as_voice(); break;
                case Kind::bulk: schedule_as_bulk(); break;
                case Kind::all: break;
            }
            run(works);
        });
    };
    if (settings_.single) {
        for (auto* const all : {&bulk_in, &bulk_out}) {
            for (auto& works : *all) std::move(works.begin(), works.end(), std::back_inserter(voice));
        }
        return launch(std::move(voice), Kind::all);
    }
    if (!voice.empty()) launch(std::move(voice), Kind::voice);
    for (auto& works : bulk_in) launch(std::move(works), steers_voice() ? Kind::bulk : Kind::all);
    for (auto& works : bulk_out) launch(std::move(works), steered ? Kind::bulk : Kind::all);
}

std::size_t DataThreads::queues_out() const {
    const auto is_bulk = [](const auto& lane) { return lane->lane() != mesh::Lane::voice; };
    return static_cast<std::size_t>(std::count_if(outbound_.begin(), outbound_.end(), is_bulk));
}

void DataThreads::add_outbound(std::vector<Work>& works, mesh::Lane lane, tun::Queue& queue, LaneSockets sockets) {
    auto& added = *outbound_.emplace_back(std::make_unique<OutboundLane>(
        lane, queue, sockets, uplink_ ? &*uplink_ : nullptr, table_, upward_));
    added.set_segments(settings_.udp_offloads);
    added.show(settings_.dscp);
    if (settings_.single) added.share_thread_with_voice();
    works.push_back({added.fd(), true, [&added](net::Steady now) { return added.run(now); },
                     [&added](net::Steady now) { return added.next_deadline(now); }});
}

void DataThreads::add_inbound(std::vector<Work>& works, mesh::Lane lane, Sockets& sockets, tun::Queue& queue,
                              tun::Coalescer::Settings coalescing) {
    // Voice comes a packet at a time, and a small machine has the memory for other things.
    const std::size_t buffers = lane == mesh::Lane::voice || settings_.single ? 1 : 4;
    for (auto* const socket : {&sockets.v4, &sockets.v6}) {
        if (!*socket) continue;
        auto& added = *inbound_.emplace_back(
            std::make_unique<InboundLane>(lane, **socket, buffers, queue, coalescing, table_, upward_));
        works.push_back({added.fd(), false, [&added](net::Steady now) { return added.run(now); }, {}});
    }
}

void DataThreads::run(std::vector<Work> works) const {
    std::vector<pollfd> fds{{stop_.get(), POLLIN, 0}};
    for (const auto& work : works) fds.push_back({work.fd, POLLIN, 0});
    bool more = false;
    auto now = loop::read_clocks().steady;
    for (;;) {
        const auto ready = wait(fds, more ? net::Steady::min() : next_deadline(works, now));
        if (ready < 0 && errno != EINTR) return;
        if (fds[0].revents != 0) return;
        more = false;
        if (ready < 0) continue;
        now = loop::read_clocks().steady;  // once for all that is ready: voice is first
        for (std::size_t i = 0; i < works.size(); ++i) {
            auto& fd = fds[i + 1];
            const bool late = works[i].next_deadline && works[i].next_deadline(now) <= now;
            if (fd.revents == 0 && !late) continue;
            if (works[i].run(now) == Turn::more) more = true;
            // A device that is gone is readable for ever. A socket's error is an earlier datagram's, and has been taken.
            if (works[i].device && (fd.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) fd.fd = -1;
        }
    }
}

net::Steady DataThreads::next_deadline(const std::vector<Work>& works, net::Steady now) {
    auto next = net::kNever;
    for (const auto& work : works) {
        if (work.next_deadline) next = std::min(next, work.next_deadline(now));
    }
    return next;
}

void DataThreads::set_coalescing(bool tcp, bool udp) {
    for (const auto& lane : inbound_) lane->set_coalescing(tcp, udp);
}

bool DataThreads::joins_tcp() const {
    return std::all_of(inbound_.begin(), inbound_.end(), [](const auto& lane) { return lane->joins_tcp(); });
}

bool DataThreads::joins_udp() const {
    return std::all_of(inbound_.begin(), inbound_.end(), [](const auto& lane) { return lane->joins_udp(); });
}

void DataThreads::set_udp_offloads(bool on) {
    settings_.udp_offloads = on;
    for (const auto& lane : outbound_) lane->set_segments(on);
    receives_merged_ = on;
    const auto set = [&](const Sockets& sockets) {
        for (const auto* const socket : {&sockets.v4, &sockets.v6}) {
            if (*socket && !(*socket)->set_receive_offload(on)) receives_merged_ = false;
        }
    };
    for (const auto& sockets : bulk_) set(sockets);
    set(voice_);
}

void DataThreads::retry_segments() {
    for (const auto& lane : outbound_) lane->set_segments(settings_.udp_offloads);
}

bool DataThreads::sends_segments() const {
    return !outbound_.empty() &&
           std::all_of(outbound_.begin(), outbound_.end(), [](const auto& lane) { return lane->segments(); });
}

DataThreads::Waits DataThreads::longest_waits(net::Steady now) const {
    Waits waits;
    for (const auto& lane : outbound_) {
        auto& longest = lane->lane() == mesh::Lane::voice ? waits.voice_out : waits.out;
        longest = std::max(longest, lane->longest_wait(now));
    }
    for (const auto& lane : inbound_) waits.in = std::max(waits.in, lane->longest_wait(now));
    return waits;
}

void DataThreads::stop() {
    if (!threads_.empty()) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
        for (auto& thread : threads_) thread.join();
        threads_.clear();
    }
    delivers_to_ = nullptr;
    outbound_.clear();
    inbound_.clear();
    bulk_.clear();
    bulk_.resize(1);
    voice_ = {};
}

void DataThreads::deliver(std::span<net::Bytes> packets) {
    if (delivers_to_ == nullptr) return;
    const auto refused = delivers_to_->refused();
    coalescer_.set(joins_tcp(), joins_udp());
    for (auto& packet : packets) coalescer_.add(packet, false, *delivers_to_);
    coalescer_.flush(*delivers_to_);
    // Another thread's, written meanwhile, may be counted twice then: both are refused packets.
    const auto current = table_.get();
    if (const auto more = delivers_to_->refused() - refused; more != 0 && current) {
        current->drops->add(mesh::Drop::device_error, more);
        for (const auto& lane : inbound_) lane->give_up_what_is_refused();
    }
}

Upward DataThreads::take() { return upward_.take(loop::read_clocks().steady); }

bool DataThreads::send(const mesh::Datagram& datagram) {
    // With the voice: a handshake or a ping that waits behind bulk looks like a peer that is gone.
    const auto& to = datagram.to;
    const bool v6 = to.address.is_v6();
    const auto& voice = v6 ? voice_.v6 : voice_.v4;
    const auto& bulk = bulk_.front();
    const auto& socket = voice ? voice : v6 ? bulk.v6 : bulk.v4;
    const auto current = table_.get();
    if (!may_go_to(current.get(), to)) return true;
    auto result = loop::SendResult::failed;
    if (socket && !to.is_none()) {
        result = datagram.never_fragment ? socket->send_whole(to, datagram.bytes) : socket->send(to, datagram.bytes);
    }
    if (datagram.never_fragment && result == loop::SendResult::too_big) return false;
    if (result != loop::SendResult::sent && current) current->drops->add(mesh::Drop::socket_error);
    return true;
}

void DataThreads::spend(std::uint64_t bytes) {
    if (uplink_ && bytes != 0) uplink_->spend(bytes, loop::read_clocks().steady);
}

bool DataThreads::send_train(std::span<const mesh::Datagram> train) {
    const auto current = table_.get();
    std::size_t bytes = 0;
    for (const auto& datagram : train) bytes += datagram.bytes.size();
    loop::SendBurst burst(bytes);
    for (const auto& datagram : train) {
        if (!may_go_to(current.get(), datagram.to)) continue;
        std::copy(datagram.bytes.begin(), datagram.bytes.end(), burst.room(datagram.bytes.size()).begin());
        burst.add(datagram.to, 0, datagram.bytes.size());
    }
    if (burst.empty()) return false;
    const auto sockets = or_first(bulk_.front());
    const auto lost = burst.send(sockets.v4, sockets.v6, std::chrono::milliseconds(0));
    if (lost != 0 && current) current->drops->add(mesh::Drop::socket_error, lost);
    return burst.left_whole();
}

}  // namespace meshd
