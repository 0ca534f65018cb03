#include <algorithm>
#include <catch2/catch.hpp>

#include "loop/read_turns.hpp"
#include "loop/tcp_listener.hpp"
#include "loop/timer.hpp"

using namespace std::chrono_literals;

namespace read_turns {
namespace {

constexpr std::size_t kStreams = 3, kReads = 3, kReadBytes = 16384;

/// Streams of which each has three reads waiting when they are started.
struct Readers {
    explicit Readers(unsigned reads_per_turn) : turns(loop, reads_per_turn) {
        watchdog.after(10s);
        loop::Stream::Limits limits;
        limits.turns = &turns;
        loop::TcpListener listener(
            loop, *net::Endpoint::parse("127.0.0.1:0"),
            [&](std::unique_ptr<loop::Stream> stream) { readers.push_back(std::move(stream)); }, limits);
        for (std::size_t i = 0; i < kStreams; ++i) {
            writers.push_back(loop::Stream::connect_tcp(loop, listener.local(), {}));
            writers.back()->write(net::Bytes(kReads * kReadBytes, std::byte{1}));
        }
        while (!has_all()) loop.run_once();
    }
    bool has_all() const {
        if (readers.size() < kStreams) return false;
        return std::all_of(readers.begin(), readers.end(), [](const auto& one) { return one->unread_bytes() == kReads * kReadBytes; });
    }
    void start(const std::function<void(std::size_t)>& also = nullptr) {
        for (std::size_t i = 0; i < kStreams; ++i) {
            readers[i]->start({nullptr,
                               [this, i, also](net::ByteView bytes) {
                                   CHECK(bytes.size() == kReadBytes);
                                   order.push_back(i);
                                   if (also) also(i);
                               },
                               nullptr, nullptr});
        }
    }

    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    loop::ReadTurns turns;
    std::vector<std::unique_ptr<loop::Stream>> readers, writers;
    std::vector<std::size_t> order;
};

}  // namespace

TEST_CASE("streams that share their turns are read one after the other, and so much a turn of the loop and no more") {
    const unsigned reads_per_turn = GENERATE(1u, 2u);
    CAPTURE(reads_per_turn);
    Readers f(reads_per_turn);
    f.start();
    while (f.order.size() < kStreams * kReads) {
        const auto before = f.order.size();
        f.loop.run_once();
        REQUIRE(f.order.size() <= before + reads_per_turn);
    }
    for (std::size_t i = 0; i < f.order.size(); i += kStreams) {
        std::vector<std::size_t> round(f.order.begin() + static_cast<std::ptrdiff_t>(i), f.order.begin() + static_cast<std::ptrdiff_t>(i + kStreams));
        std::sort(round.begin(), round.end());
        CHECK(round == std::vector<std::size_t>{0, 1, 2});
    }
    // Whoever has waited is heard again afterwards.
    while (f.turns.waiting() > 0) f.loop.run_once();
    for (auto& writer : f.writers) writer->write(net::Bytes(kReadBytes, std::byte{2}));
    while (f.order.size() < kStreams * (kReads + 1)) f.loop.run_once();
}

TEST_CASE("a timer has its turn between two reads, and a stream that is closed in line is read no more") {
    Readers f(1);
    bool fired = false;
    loop::Timer timer(f.loop, [&] { fired = true; });
    f.start([&](std::size_t i) {
        if (f.order.size() == 2) CHECK(fired);
        if (f.order.size() != 1) return;
        timer.at(f.loop.now().steady - 1s);
        f.readers[(i + 1) % kStreams].reset();
        f.readers[i]->close();
    });
    while (f.order.size() < 1 + kReads) f.loop.run_once();
    CHECK(std::count(f.order.begin(), f.order.end(), f.order.front()) == 1);
    while (f.turns.waiting() > 0) f.loop.run_once();
    CHECK(f.order.size() == 1 + kReads);
}

TEST_CASE("what is not read holds its sender back") {
    constexpr std::size_t kBytes = 16 << 20;
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    watchdog.after(10s);
    loop::Stream::Limits small, large;
    small.receive_buffer_bytes = 64 << 10;
    large.queue_bytes = kBytes;
    std::unique_ptr<loop::Stream> reader;
    std::size_t heard = 0;
    loop::TcpListener listener(
        loop, *net::Endpoint::parse("127.0.0.1:0"), [&](std::unique_ptr<loop::Stream> stream) { reader = std::move(stream); }, small);
    const auto writer = loop::Stream::connect_tcp(loop, listener.local(), {}, large);
    writer->write(net::Bytes(kBytes, std::byte{1}));
    while (!reader || reader->unread_bytes() == 0) loop.run_once();
    CHECK(writer->queued_bytes() > 0);
    reader->start({nullptr, [&](net::ByteView bytes) { heard += bytes.size(); }, nullptr, nullptr});
    while (heard < kBytes) {
        CHECK(reader->unread_bytes() <= 256u << 10);
        loop.run_once();
    }
    CHECK(writer->queued_bytes() == 0);
}

}  // namespace read_turns
