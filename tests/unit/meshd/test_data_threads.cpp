#include <sched.h>

#include <filesystem>

#include "two_nodes.hpp"

using test::ip_packet;
using test::kPatience;
using test::Two;

namespace {

/// How many of this process's threads are scheduled as batch jobs.
std::size_t batch_threads() {
    std::size_t count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (::sched_getscheduler(std::stoi(task.path().filename())) == SCHED_BATCH) ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("a thread that carries voice is no batch job") {
    mesh::start_crypto();
    meshd::DataThreads::Settings settings;
    settings.single = GENERATE(false, true);
    Two two(false, settings);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    two.bob.write(ip_packet("10.0.0.2", "10.0.0.1", 100));
    REQUIRE(two.work_until([&] { return two.alice.read().has_value(); }));  // by now all that carry bulk have begun
    // These devices have one queue, which voice shares: only what receives bulk is a thread of bulk alone.
    CHECK(two.alice.threads->steers_voice());
    CHECK(batch_threads() == (settings.single ? 0 : 2));
}

TEST_CASE("packets pass from device to device through two real sockets") {
    mesh::start_crypto();
    const bool v6 = GENERATE(false, true);
    Two two(v6);
    if (v6 && !two.alice.threads->has_ipv6()) return;
    const auto there = ip_packet("10.0.0.1", "10.0.0.2", 1420), back = ip_packet("10.0.0.2", "10.0.0.1", 21);
    two.alice.write(there);
    std::optional<net::Bytes> arrived;
    REQUIRE(two.work_until([&] { return (arrived = two.bob.read()).has_value(); }));
    CHECK(*arrived == there);
    two.bob.write(back);
    REQUIRE(two.work_until([&] { return (arrived = two.alice.read()).has_value(); }));
    CHECK(*arrived == back);

    two.alice.wireguard.send(two.bob.wireguard.own_key(), net::as_bytes("\x01hello"), loop::read_clocks());
    REQUIRE(two.work_until([&] { return !two.bob.frames.empty(); }));
    CHECK(two.bob.frames[0].peer == two.alice.wireguard.own_key());
    CHECK(two.bob.frames[0].from == two.alice.endpoint(v6));
}

TEST_CASE("tables are swapped and sessions renewed while packets flow") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    std::size_t arrived = 0;
    for (int i = 0; i < 200 || arrived < 1000; ++i) {
        REQUIRE(i < 100000);
        for (int k = 0; k < 10; ++k) {
            two.alice.try_write(ip_packet("10.0.0.1", "10.0.0.2", 100));
            two.bob.try_write(ip_packet("10.0.0.2", "10.0.0.1", 100));
            while (two.alice.read()) {
            }
        }
        two.alice.writes_to = two.bob.writes_to = static_cast<std::size_t>(i) % two.alice.threads->queues_out();
        if (i % 40 == 20) two.alice.wireguard.rekey(two.bob.wireguard.own_key(), loop::read_clocks());
        two.alice.wireguard.set_routes({{*net::Prefix::parse("10.0.0.2/32"), two.bob.wireguard.own_key()}});
        two.alice.turn();
        two.bob.turn();
        while (two.bob.read()) ++arrived;
    }
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::not_authentic) == 0);
    CHECK(two.bob.wireguard.drops().get(mesh::Drop::replayed) == 0);
}

TEST_CASE("strangers fill their own queue only, are counted, and put us under load") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    net::Bytes message(mesh::kInitiationBytes);
    message[0] = std::byte{1};
    mesh::CookieJar(two.bob.wireguard.own_key()).put_macs(message, {});
    const auto full = [&] { return two.bob.wireguard.drops().get(mesh::Drop::stranger_queue_full) > 0; };
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!full() && std::chrono::steady_clock::now() < end) {
        two.alice.threads->send({two.bob.endpoint(false), message});
    }
    REQUIRE(full());
    two.alice.wireguard.send(two.bob.wireguard.own_key(), net::as_bytes("\x01hello"), loop::read_clocks());
    two.alice.turn();
    meshd::Upward upward = two.bob.threads->take();
    CHECK(upward.under_load);
    CHECK(upward.handshakes.size() == 16);
    REQUIRE(two.work_until([&] { return !two.bob.frames.empty() || !upward.frames.empty(); }));
}

TEST_CASE("nothing is sent into the overlay") {
    mesh::start_crypto();
    Two two(false);
    two.alice.wireguard.set_overlay({*net::Prefix::parse("127.0.0.0/8")});
    two.alice.turn();
    two.alice.threads->send({two.bob.endpoint(false), net::Bytes(100)});
    CHECK(two.alice.wireguard.drops().get(mesh::Drop::underlay_loop) == 1);
}

TEST_CASE("what a socket has no room for is counted") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    const auto sender = *loop::Datagram::open(*net::Endpoint::parse("127.0.0.1:0"));
    net::Bytes junk(60000);
    const auto counted = [&] { return two.bob.wireguard.drops().get(mesh::Drop::receive_buffer_full) > 0; };
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!counted() && std::chrono::steady_clock::now() < end) {
        two.bob.threads->swap_table(two.bob.wireguard.table());
        for (int i = 0; i < 1000; ++i) (void)sender.send(two.bob.endpoint(false), junk);
    }
    CHECK(counted());
}

TEST_CASE("stopping twice does no harm, and a device that is gone ends nothing else") {
    mesh::start_crypto();
    Two two(false);
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    two.bob.lose_device();
    two.alice.write(ip_packet("10.0.0.1", "10.0.0.2", 100));
    REQUIRE(two.work_until([&] { return two.bob.wireguard.drops().get(mesh::Drop::device_error) == 1; }));
    two.alice.wireguard.send(two.bob.wireguard.own_key(), net::as_bytes("\x01hello"), loop::read_clocks());
    REQUIRE(two.work_until([&] { return !two.bob.frames.empty(); }));
    two.bob.threads->stop();
    two.bob.threads->stop();
}

TEST_CASE("a port that is taken is an error that says what to do") {
    meshd::DataThreads first({});
    meshd::DataThreads::Settings settings;
    settings.port = first.port();
    CHECK_THROWS_WITH(meshd::DataThreads(settings), Catch::Contains("another program has this port"));
}

TEST_CASE("packets for a peer at a virtual endpoint reach the control thread, and no socket takes them") {
    mesh::start_crypto();
    Two two(false);
    const auto packet = ip_packet("10.0.0.1", "10.0.0.2", 1420);
    two.alice.write(packet);
    REQUIRE(two.work_until([&] { return two.bob.read().has_value(); }));
    two.alice.wireguard.set_endpoint(two.bob.wireguard.own_key(), mesh::stream_endpoint(1));
    two.alice.turn();
    auto voice = packet;
    voice[1] = std::byte{46 << 2};
    two.alice.write(packet);
    two.alice.write(voice);
    meshd::Upward all;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while ((all.packets.empty() || all.voice.empty()) && std::chrono::steady_clock::now() < end) {
        auto upward = two.alice.threads->take();
        std::move(upward.packets.begin(), upward.packets.end(), std::back_inserter(all.packets));
        std::move(upward.voice.begin(), upward.voice.end(), std::back_inserter(all.voice));
    }
    REQUIRE(all.packets.size() == 1);
    REQUIRE(all.voice.size() == 1);
    CHECK(all.packets[0].bytes == packet);
    CHECK(all.packets[0].carried);
    CHECK(all.voice[0].bytes == voice);

    const mesh::Datagram datagram{.to = mesh::stream_endpoint(1), .bytes = net::Bytes(100)};
    CHECK(two.alice.threads->send(datagram));
    CHECK_FALSE(two.alice.threads->send_train({&datagram, 1}));
    CHECK(two.alice.wireguard.drops().get(mesh::Drop::no_endpoint) == 2);
    CHECK(two.alice.wireguard.drops().get(mesh::Drop::socket_error) == 0);
}

TEST_CASE("what the control thread delivers is written to the device") {
    mesh::start_crypto();
    Two two(false);
    std::vector<net::Bytes> packets{ip_packet("10.0.0.1", "10.0.0.2", 1420), ip_packet("10.0.0.1", "10.0.0.2", 99)};
    const auto sent = packets;
    two.bob.threads->deliver(packets);
    for (const auto& packet : sent) CHECK(two.bob.read() == packet);
    two.bob.threads->stop();
    two.bob.threads->deliver(packets);
    CHECK_FALSE(two.bob.read());
}
