#include "mesh/canary.hpp"
#include "mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

namespace {

/// Both ends under a virtual clock; what a train and what a datagram alone suffers.
struct Line {
    explicit Line(std::uint64_t seed) : random(seed) { canary.start(now); }

    void run(net::Duration span) {
        for (const auto end = now + span; now < end; now += 100ms) {
            carried += bulk_bytes_per_s / 10;
            const auto due = canary.tick(now, carried, random);
            rounds += due.train.empty() ? 0 : 1;
            for (const auto& probe : due.train) hear(probe, train_loss);
            for (const auto& probe : due.alone) hear(probe, loss);
        }
    }
    void hear(const TrainProbe& probe, double lost) {
        if (chance() < lost) return;
        const auto answer = count.heard(probe);
        if (answer && chance() >= loss) canary.counted(*answer, now);
    }
    double chance() { return static_cast<double>(random.below(1'000'000)) / 1e6; }

    net::SeededRandom random;
    net::Steady now{1h};
    Canary canary;
    CanaryCount count;
    std::uint64_t carried = 0, bulk_bytes_per_s = 10'000'000;
    double loss = 0, train_loss = 0;
    int rounds = 0;
};

}  // namespace

TEST_CASE("trains that vanish, while datagrams alone arrive, are found harmful within seconds") {
    Line line(1);
    line.train_loss = 1;
    line.run(8s);
    CHECK(line.canary.harmful());
    const auto rounds = line.rounds;
    line.run(59min);
    CHECK(line.rounds == rounds);  // the question is settled
    line.canary.start(line.now);
    CHECK_FALSE(line.canary.harmful());
}

TEST_CASE("a verdict of harm is asked again once in an hour, and stands until a train arrives") {
    Line line(5);
    line.train_loss = 1;
    line.run(8s);
    REQUIRE(line.canary.harmful());
    const auto rounds = line.rounds;
    line.run(61min);
    CHECK(line.canary.harmful());
    CHECK(line.rounds == rounds + 1);
    line.train_loss = 0;
    line.run(58min);
    CHECK(line.canary.harmful());
    line.run(3min);
    CHECK_FALSE(line.canary.harmful());
    CHECK(line.rounds > rounds + 2);  // it is watched as before
}

TEST_CASE("a verdict of harm is asked again at once when the path is another one") {
    Line line(6);
    line.train_loss = 1;
    line.run(8s);
    REQUIRE(line.canary.harmful());
    line.canary.ask_again(line.now);
    line.run(5s);
    CHECK(line.canary.harmful());
    line.train_loss = 0;
    line.canary.ask_again(line.now);
    CHECK(line.canary.harmful());
    line.run(5s);
    CHECK_FALSE(line.canary.harmful());
}

TEST_CASE("a line that loses packets alike is not blamed on the trains") {
    for (const double loss : {0.0, 0.02, 0.1, 0.2, 0.5, 1.0}) {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            CAPTURE(loss, seed);
            Line line(seed);
            line.loss = line.train_loss = loss;
            line.run(1h);
            CHECK_FALSE(line.canary.harmful());
        }
    }
}

TEST_CASE("an offload that spoils most of a train is found on a line that loses some") {
    Line line(3);
    line.loss = 0.05;
    line.train_loss = 0.8;
    line.run(10min);
    CHECK(line.canary.harmful());
}

TEST_CASE("nobody is probed who is sent little") {
    Line line(4);
    line.bulk_bytes_per_s = 10'000;
    line.run(1min);
    CHECK(line.rounds == 0);
}

TEST_CASE("a member tells its owner when its trains do not reach a peer, and only then") {
    Network network(90);
    network.add("munich").settings.sends_trains = true;
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    auto& verona = network.invite_and_join(trento, "verona");
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "verona"}); }, 20s));
    const auto busy_for = [&](net::Duration span) {
        for (net::Duration passed{}; passed < span; passed += 1s) {
            // Bulk of an application's, straight through the data path's books.
            for (const auto& peer : munich.node->wireguard().table()->peers) {
                if (!peer || peer->key != trento.node->wireguard().own_key()) continue;
                (void)peer->activity->sent(network.now().steady, 2 << 20, true);
            }
            network.run(1s);
        }
    };
    busy_for(1min);
    CHECK(munich.trains > 0);
    CHECK(munich.count<TrainsHarmful>() == 0);
    CHECK(trento.trains == 0);  // was not told that it sends any
    munich.loses_trains = true;
    busy_for(1min);
    CHECK(munich.count<TrainsHarmful>() == 1);
    // Only to that peer do datagrams go one by one: what it says may be a lie.
    const auto trains = [&](const auto& other) {
        for (const auto& peer : munich.node->wireguard().table()->peers) {
            if (peer && peer->key == other.node->wireguard().own_key()) return peer->trains;
        }
        return false;
    };
    CHECK_FALSE(trains(trento));
    CHECK(trains(verona));
    munich.loses_trains = false;
    munich.node->set_sends_trains(true, network.now());
    CHECK(trains(trento));
    busy_for(1min);
    CHECK(trains(trento));
}

namespace {

/// Two members, the first of which sends bulk to the other in trains.
struct Bulk {
    explicit Bulk(std::uint64_t seed) : network(seed) {
        network.add("munich").settings.sends_trains = true;
        trento = &network.create("trento");
        munich = &network.invite_and_join(*trento, "munich");
        up();
    }
    void up() {
        REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich"}); }, 20s));
    }
    void busy_for(net::Duration span) {
        for (net::Duration passed{}; passed < span; passed += 1s) {
            for (const auto& peer : munich->node->wireguard().table()->peers) {
                if (peer) (void)peer->activity->sent(network.now().steady, 2 << 20, true);
            }
            network.run(1s);
        }
    }
    bool trains() const {
        for (const auto& peer : munich->node->wireguard().table()->peers)
            if (peer) return peer->trains;
        return false;
    }
    Network network;
    Machine *trento, *munich;
};

}  // namespace

TEST_CASE("harm by trains that was found is not forgotten with the peer, but for an hour") {
    Bulk bulk(91);
    bulk.munich->loses_trains = true;
    bulk.busy_for(20s);
    REQUIRE_FALSE(bulk.trains());
    const bool away_for_long = GENERATE(false, true);
    const auto trento = bulk.trento->node->key();
    bulk.network.crash(*bulk.trento);
    bulk.network.run(away_for_long ? 61min : 1min);
    REQUIRE_FALSE(bulk.munich->node->is_up(trento));
    bulk.network.start(*bulk.trento);
    bulk.up();
    CHECK(bulk.trains() == away_for_long);
    if (away_for_long) return;
    bulk.munich->node->set_sends_trains(true, bulk.network.now());
    CHECK(bulk.trains());
}

TEST_CASE("a member that comes back as a version without probes is sent none") {
    Bulk bulk(92);
    bulk.busy_for(20s);
    REQUIRE(bulk.munich->trains > 0);
    bulk.network.crash(*bulk.trento);
    bulk.trento->settings.withheld = static_cast<std::uint32_t>(Capability::train_probe);
    bulk.network.start(*bulk.trento);  // before anybody has noticed that it was away
    bulk.network.run(2s);
    bulk.up();
    const auto trains = bulk.munich->trains;
    bulk.busy_for(1min);
    CHECK(bulk.munich->trains == trains);
}

TEST_CASE("the probes of a train are as large as bulk on that path, and are understood") {
    Bulk bulk(93);
    CHECK(bulk.munich->train_datagram_bytes == 0);
    const bool narrow = GENERATE(false, true);
    if (narrow) {
        bulk.trento->line_mtu_bytes = 1300;
        bulk.munich->node->told_too_big(bulk.trento->endpoint, 1300, bulk.network.now());
    }
    bulk.busy_for(30s);
    CHECK(bulk.munich->train_datagram_bytes == (narrow ? 1300 - 28 : 1420 + kMinDataBytes));
    bulk.munich->loses_trains = true;
    bulk.busy_for(20s);
    CHECK_FALSE(bulk.trains());
}

TEST_CASE("a train that did not leave in one send says nothing") {
    Bulk bulk(94);
    bulk.munich->loses_trains = bulk.munich->splits_trains = true;
    bulk.busy_for(2min);
    CHECK(bulk.munich->trains >= 3 * Canary::kCount);
    CHECK(bulk.munich->count<TrainsHarmful>() == 0);
    CHECK(bulk.trains());
    bulk.munich->splits_trains = false;
    bulk.busy_for(30s);
    CHECK(bulk.munich->count<TrainsHarmful>() == 1);
}

TEST_CASE("trains are tried again to a member that has moved, and after an hour, while the link stays up") {
    Bulk bulk(95);
    bulk.munich->loses_trains = true;
    bulk.busy_for(20s);
    REQUIRE_FALSE(bulk.trains());
    CHECK(bulk.munich->node->finds_trains_harmful());
    bulk.munich->loses_trains = false;
    const bool moves = GENERATE(true, false);
    if (moves) {
        bulk.trento->endpoint = {net::IpAddress::v4(203, 0, 113, 9), 51820, 0};
        bulk.trento->node->set_local_endpoints({bulk.trento->endpoint}, bulk.network.now());
        bulk.busy_for(20s);
    } else {
        bulk.busy_for(58min);
        CHECK_FALSE(bulk.trains());
        bulk.busy_for(3min);
    }
    CHECK(bulk.trains());
    CHECK_FALSE(bulk.munich->node->finds_trains_harmful());
    CHECK(bulk.munich->count<TrainsWork>() == 1);
    CHECK(bulk.munich->count<PeerDown>() == 0);
}

TEST_CASE("no trains are sent once they are switched off, and they are watched once they are switched on") {
    Bulk bulk(96);
    bulk.munich->node->set_sends_trains(false, bulk.network.now());
    bulk.busy_for(30s);
    CHECK(bulk.munich->trains == 0);
    bulk.munich->node->set_sends_trains(true, bulk.network.now());
    bulk.munich->loses_trains = true;
    bulk.busy_for(30s);
    CHECK_FALSE(bulk.trains());
    bulk.munich->node->set_sends_trains(false, bulk.network.now());
    CHECK_FALSE(bulk.munich->node->finds_trains_harmful());
}
