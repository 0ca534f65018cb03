#include "streams_ground.hpp"

using namespace test;
using discovery::StreamRole;

TEST_CASE("datagrams pass both ways over a stream, and are as they were") {
    Ground ground;
    const auto id = ground.open();
    REQUIRE(ground.client->opened == std::vector{std::pair{id, ground.at()}});
    const auto there = ground.server->opened.front().first;
    CHECK(ground.server->opened.front().second.address == net::IpAddress::v4(127, 0, 0, 1));
    std::vector<net::Bytes> sent;
    for (std::uint8_t i = 1; i <= 64; ++i) sent.push_back(datagram(i, 2048U / i));
    for (const bool bulk : {false, true}) {
        ground.server->came.clear();
        ground.client->came.clear();
        for (const auto& one : sent) {
            CHECK(ground.client->streams.send(id, one, bulk));
            CHECK(ground.server->streams.send(there, one, bulk));
        }
        ground.run_until([&] { return ground.server->came.size() == 64 && ground.client->came.size() == 64; });
        CHECK(ground.server->came == sent);
        CHECK(ground.client->came == sent);
    }
    CHECK_FALSE(ground.client->streams.send(id, datagram(1, 2049), true));
    CHECK(ground.client->settled > 0);
    CHECK(ground.client->streams.dial(ground.at()) == id);  // it is there
    ground.client->streams.close(id);
    ground.run_until([&] { return !ground.server->closed.empty(); });
    CHECK(ground.server->closed.front().first == there);
    CHECK(ground.client->closed.empty());
    CHECK(ground.server->streams.connections() == 0);
}

TEST_CASE("a stranger is told nothing inside TLS, and his connection is closed in time") {
    meshd::Streams::Settings settings;
    settings.proven_within = 200ms;
    Ground ground(settings);
    ground.server->answers = true;
    Somebody silent(ground, true), mute(ground, false), chatty(ground, true), speaker(ground, true), garbled(ground, false);
    chatty.say_preamble();
    for (int i = 0; i < 5; ++i) chatty.say(not_for_us());
    speaker.say_preamble(StreamRole::first, 2);
    garbled.stream->write(net::as_bytes("GET / HTTP/1.1\r\n\r\n"));
    ground.run_until([&] { return silent.closed && mute.closed && chatty.closed && speaker.closed && garbled.closed; });
    CHECK(silent.connected);
    CHECK(silent.heard + chatty.heard + speaker.heard == 0);
    CHECK(ground.server->opened.empty());
    CHECK(ground.server->closed.empty());
    CHECK(ground.server->came.empty());
    const auto counters = ground.server->streams.counters();
    CHECK(counters.strangers == 3);
    CHECK(counters.tls_failed == 2);
    CHECK(counters.not_for_us == 5);
    CHECK(ground.server->streams.connections() == 0);
    CHECK(ground.server->streams.size() == 0);
}

TEST_CASE("who brings much that is not for us is closed before his time, and who has a session stays") {
    meshd::Streams::Settings settings;
    settings.proven_within = 1s;
    Ground ground(settings);
    Somebody good(ground, true), bad(ground, true);
    good.say_preamble(StreamRole::first, 1);
    good.say(not_for_us());
    good.say(datagram(1));
    bad.say_preamble(StreamRole::first, 2);
    for (int i = 0; i < 100; ++i) bad.say(not_for_us());
    Somebody late(ground, true);
    ground.run_until([&] { return ground.server->opened.size() == 1; });
    ground.server->streams.proven(ground.server->opened.front().first);
    ground.run_until([&] { return bad.closed && late.closed; });  // late's time is over, good's would be
    CHECK_FALSE(good.closed);
    CHECK(ground.server->opened.size() == 1);
    CHECK(ground.server->streams.connections() == 1);
    CHECK(ground.server->streams.counters().strangers == 2);
}

TEST_CASE("what are no datagrams ends a connection, and is counted") {
    Ground ground;
    Somebody long_one(ground, true), short_one(ground, true), http(ground, true);
    long_one.say_preamble(StreamRole::first, 1);
    long_one.say(datagram(1));
    long_one.stream->write(net::Writer().u16be(2049).take());
    short_one.say_preamble(StreamRole::first, 2);
    short_one.stream->write(net::Writer().u16be(1).take());
    http.stream->write(net::as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    ground.run_until([&] { return long_one.closed && short_one.closed && http.closed; });
    CHECK(ground.server->streams.counters().broken == 3);
    CHECK(ground.server->closed.size() == 1);  // of the one that had been told of
    CHECK(http.heard == 0);
}

TEST_CASE("connections are bounded: of one source, those without a session, and all") {
    meshd::Streams::Settings settings;
    settings.most_of_one_source = 4;
    settings.most_unproven = 6;
    settings.most_connections = 8;
    Ground ground(settings);
    std::vector<std::unique_ptr<Somebody>> all;
    const auto add = [&](std::uint8_t from, bool proves) {
        all.push_back(std::make_unique<Somebody>(ground, true, net::IpAddress::v4(127, 0, 1, from)));
        if (!proves) return;
        all.back()->say_preamble(StreamRole::first, static_cast<std::uint8_t>(all.size()));
        all.back()->say(datagram(1));
    };
    const auto refused = [&](std::uint64_t count) {
        ground.run_until([&] { return ground.server->streams.counters().refused == count; });
    };
    for (int i = 0; i < 6; ++i) add(1, true);
    refused(2);
    ground.run_until([&] { return ground.server->opened.size() == 4; });
    for (const auto& [id, remote] : ground.server->opened) ground.server->streams.proven(id);
    for (int i = 0; i < 4; ++i) add(2, false);
    refused(2);
    ground.run_until([&] { return ground.server->streams.connections() == 8; });
    add(3, true);
    refused(3);
    CHECK(ground.server->streams.connections() == 8);
    CHECK(ground.server->streams.counters().displaced == 0);  // none has been there for so long
    all.clear();
    ground.run_until([&] { return ground.server->streams.connections() == 0; });
    for (std::uint8_t i = 0; i < 8; ++i) add(static_cast<std::uint8_t>(10 + i), false);
    refused(5);
    CHECK(ground.server->streams.connections() <= 6);
}

TEST_CASE("who only says what looks as if it was for us is closed in time, whatever he repeats, and who has a session stays") {
    meshd::Streams::Settings settings;
    settings.proven_within = 1500ms;
    Ground ground(settings);
    Somebody good(ground, true), good_bulk(ground, true), replays(ground, true), late(ground, true);
    good.say_preamble(StreamRole::first, 1);
    good.say(datagram(1));
    replays.say_preamble(StreamRole::first, 2);
    replays.say(datagram(2));
    ground.run_until([&] { return ground.server->opened.size() == 2; });
    const auto id_of = [&](std::uint8_t mark) { return ground.server->opened[ground.server->came[0] == datagram(mark) ? 0 : 1].first; };
    const auto good_id = id_of(1), bad_id = id_of(2);
    ground.server->streams.proven(good_id);
    good_bulk.say_preamble(StreamRole::bulk, 1);
    loop::Timer again(ground.loop, [&] {
        if (!replays.closed) replays.say(datagram(2));
        again.after(20ms);
    });
    again.after(20ms);
    ground.run_until([&] { return replays.closed && late.closed; });
    REQUIRE(ground.server->closed.size() == 1);
    CHECK(ground.server->closed.front().first == bad_id);
    CHECK_FALSE(good.closed);
    CHECK_FALSE(good_bulk.closed);
    CHECK(ground.server->streams.connections() == 2);
}

TEST_CASE("when all places are taken the oldest that has no session makes room, once it has had its time") {
    meshd::Streams::Settings settings;
    settings.most_unproven = 4;
    settings.most_of_one_source = 3;
    settings.room_after = 0ms;
    Ground ground(settings);
    std::vector<std::unique_ptr<Somebody>> all;
    const auto add = [&](std::uint8_t from) -> Somebody& {
        return *all.emplace_back(std::make_unique<Somebody>(ground, true, net::IpAddress::v4(127, 0, 1, from)));
    };
    auto& good = add(1);
    good.say_preamble(StreamRole::first, 1);
    good.say(datagram(1));
    ground.run_until([&] { return ground.server->opened.size() == 1; });
    ground.server->streams.proven(ground.server->opened.front().first);
    for (std::uint8_t i = 0; i < 4; ++i) {
        auto& one = add(static_cast<std::uint8_t>(10 + i));
        ground.run_until([&] { return one.connected; });
    }
    add(20);
    ground.run_until([&] { return all[1]->closed; });
    CHECK(ground.server->streams.connections() == 5);
    CHECK_FALSE(good.closed);
    CHECK_FALSE(all[2]->closed);
    // Of one source: its own oldest, though others are older.
    for (int i = 0; i < 3; ++i) {
        auto& one = add(1);
        ground.run_until([&] { return one.connected; });
    }
    CHECK_FALSE(good.closed);
    const auto displaced = ground.server->streams.counters().displaced;
    CHECK(displaced == 4);
    ground.run_until([&] { return all[6]->closed; });
    CHECK(ground.server->streams.counters().refused == 0);
}

TEST_CASE("an IPv6 network counts as one source, whichever of its addresses are used") {
    const auto source = [](const char* text) { return meshd::Streams::source_of(net::IpAddress::parse(text).value()); };
    CHECK(source("2001:db8:1:2::1") == source("2001:db8:1:2:ffff:eeee:dddd:cccc"));
    CHECK(source("2001:db8:1:2::1") != source("2001:db8:1:3::1"));
    CHECK(source("192.0.2.1") != source("192.0.2.2"));
}

TEST_CASE("handshakes come through a stream at a rate, and all else as it comes") {
    Ground ground;
    const auto id = ground.open();
    auto handshake = datagram(1, 148);
    handshake[0] = std::byte{1};
    for (int i = 0; i < 300; ++i) ground.client->streams.send(id, handshake, false);
    for (int i = 0; i < 10; ++i) ground.client->streams.send(id, datagram(2), false);
    ground.run_until([&] { return std::count(ground.server->came.begin(), ground.server->came.end(), datagram(2)) == 10; });
    CHECK(ground.server->came.size() < 40);
    CHECK(ground.server->streams.counters().handshakes_over_rate > 270);
}

TEST_CASE("behind a far end that does not read bulk is dropped, within the queue's bound, and voice goes on") {
    Ground ground;
    Somebody voice(ground, true), bulk(ground, true);
    voice.say_preamble(StreamRole::first, 1);
    voice.say(datagram(1));
    bulk.say_preamble(StreamRole::bulk, 1);
    ground.run_until([&] { return ground.server->opened.size() == 1 && ground.server->streams.connections() == 2; });
    bulk.say(datagram(1));
    ground.run_until([&] { return ground.server->came.size() == 2; });
    const auto id = ground.server->opened.front().first;
    // Nothing is read while the loop does not run.
    for (int i = 0; i < 4000; ++i) ground.server->streams.send(id, datagram(3, 2000), true);
    const auto dropped = ground.server->streams.counters().dropped_bulk;
    CHECK(dropped > 1000);
    for (int i = 0; i < 20; ++i) ground.server->streams.send(id, datagram(4, 200), false);
    ground.run_until([&] { return voice.heard >= 20 * 202; });
    CHECK(ground.server->streams.counters().dropped_urgent == 0);
}

TEST_CASE("a stream that brings nothing for long is closed, at both ends, and told") {
    meshd::Streams::Settings settings;
    settings.idle = 300ms;
    Ground ground(settings);
    const auto id = ground.open();
    ground.run_until([&] { return !ground.client->closed.empty(); });
    CHECK(ground.client->closed.front().first == id);
    CHECK(ground.server->closed.size() == 1);
    CHECK(ground.server->closed.front().second == "nothing has come for long");
    CHECK(ground.server->streams.counters().idle == 1);
    CHECK(ground.client->streams.size() == 0);
}

TEST_CASE("a dial that leads nowhere says why, and one into the mesh is not made") {
    Ground ground;
    const auto nobody =
        loop::TcpListener(ground.loop, {net::IpAddress::v4(127, 0, 0, 3), 0}, [](std::unique_ptr<loop::Stream>) {}).local();
    ground.client->forbidden = net::IpAddress::v4(127, 0, 0, 9);
    const auto refused = ground.client->streams.dial(nobody);
    const auto inside = ground.client->streams.dial({ground.client->forbidden, 443});
    ground.run_until([&] { return ground.client->closed.size() == 2; });
    for (const auto& [id, why] : ground.client->closed) {
        CHECK(why == (id == refused ? "straight: connection refused" : "straight: its address is inside the mesh"));
        CHECK((id == refused || id == inside));
    }
    CHECK(ground.client->opened.empty());
    CHECK(ground.client->streams.counters().dials_failed == 2);
    CHECK(ground.client->streams.connections() == 0);
}

TEST_CASE("so many streams are dialled at a time and no more") {
    Ground ground;
    std::vector<mesh::StreamId> ids;
    for (std::uint16_t i = 0; i < meshd::Streams::kMostDialled + 3; ++i) {
        ids.push_back(ground.client->streams.dial({net::IpAddress::v4(127, 0, 0, 5), static_cast<std::uint16_t>(i + 1)}));
    }
    ground.run_until([&] { return ground.client->closed.size() == ids.size(); });
    CHECK(std::count_if(ground.client->closed.begin(), ground.client->closed.end(),
                        [](const auto& one) { return one.second == "too many others are dialled"; }) == 3);
}
