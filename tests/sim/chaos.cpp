// A run: all start at once; faults begin at random times, many at a time, and each is over after a while or at the end;
// then the clock runs until all is well, at most kGivesUpAfter, and on for a while in which it must stay so.
#include "tests/sim/chaos.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace sim {
namespace {

using namespace std::chrono_literals;

constexpr auto kGivesUpAfter = 30s;
constexpr std::size_t kMostPlaces = 8;
constexpr auto kStays = 20s;
constexpr std::uint64_t kDatagramsPerNodeSecond = 150;  // on average over a run; in a mesh at rest they are about ten

enum class Fault : std::uint8_t { cut, crash, move, sleep, clock_step, reboot_router, bad_weather, unplug, news };
constexpr std::size_t kFaults = 9;

std::string name_of(std::size_t number) { return "n" + std::to_string(number); }

class Chaos {
public:
    Chaos(const ChaosMembers& members, std::uint64_t seed, bool verbose)
        : world_(seed), dice_(seed * 0x9e3779b97f4a7c15U + 1), sites_(world_.network()), verbose_(verbose) {
        world_.tap = [this](const auto&, const auto&, auto) { ++datagrams_; };
        world_.weather = fair();
        const auto hub = sites_.make(Site::open);
        world_.defaults.bootstrap = {{hub.addresses.front(), Host::kPort}};
        for (std::size_t i = 0; i < members.disks.size(); ++i) {
            auto& host = world_.add_host(name_of(i), i == 0 ? hub : somewhere());
            host.disk = members.disks[i];
            host.listens = i == 0;
            hosts_.push_back(&host);
            host.start();
        }
    }

    ChaosResult run() {
        const auto began = world_.now().steady;
        faults(3 + dice_.below(10));
        ChaosResult out;
        const auto last_fault = world_.now().steady;
        for (auto* host : hosts_) host->inner.clear();
        for (unsigned turn = 0; out.violated.empty() && !why_not().empty(); ++turn) {
            if (world_.now().steady - last_fault >= kGivesUpAfter) out.violated = world_.report("not found together in 30 s: " + why_not() + '\n' + ways());
            if (turn % 4 == 0) greet();
            world_.run_for(100ms);
        }
        out.found_in = world_.now().steady - last_fault;
        if (out.violated.empty()) out.violated = stays();
        out.lasted = world_.now().steady - began;
        out.datagrams = datagrams_;
        const auto node_seconds = static_cast<std::uint64_t>(out.lasted / 1s) * hosts_.size();
        if (out.violated.empty() && datagrams_ > node_seconds * kDatagramsPerNodeSecond) {
            out.violated = world_.report(std::to_string(datagrams_ / node_seconds) + " datagrams a second from each node");
        }
        return out;
    }

    /// After each of so many times of faults and a rest.
    std::vector<std::size_t> heap_bytes(unsigned times) {
        std::vector<std::size_t> out;
        for (unsigned i = 0; i < times; ++i) {
            faults(8);
            world_.run_for(5min);
            for (auto* host : hosts_) {
                host->inner = {};
                host->events = {};
            }
            out.push_back(mallinfo2().uordblks);
        }
        return out;
    }

private:
    void faults(std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) {
            world_.run_for(std::chrono::milliseconds(dice_.below(12'000)));
            begin(static_cast<Fault>(dice_.below(kFaults)));
        }
        world_.run_for(std::chrono::milliseconds(dice_.below(20'000)));
        end_all();
    }

    Weather fair() { return {std::chrono::milliseconds(2 + dice_.below(60)), std::chrono::milliseconds(dice_.below(10)), 0}; }

    Place somewhere() {
        // Some share a LAN, and whoever moves may come back to one.
        if (places_.size() == kMostPlaces || (places_.size() > 3 && dice_.below(2) == 0)) return sites_.beside(places_[dice_.below(places_.size())]);
        places_.push_back(sites_.make(kKinds[dice_.below(std::size(kKinds))]));
        return places_.back();
    }

    Host& anyone() { return *hosts_[dice_.below(hosts_.size())]; }
    Host& anyone_but_the_hub() { return *hosts_[1 + dice_.below(hosts_.size() - 1)]; }

    void say(const std::string& what) {
        world_.note(what);
        if (verbose_) std::printf("%9.3f  %s\n", std::chrono::duration<double>(world_.now().steady.time_since_epoch() - 1h).count(), what.c_str());
    }

    /// Until then what has begun now lasts.
    net::Steady later() { return world_.now().steady + std::chrono::milliseconds(dice_.below(45'000)); }

    void begin(Fault fault) {
        switch (fault) {
            case Fault::cut: {
                std::vector<std::set<const Host*>> sides(2 + dice_.below(2));
                for (auto* host : hosts_) sides[dice_.below(sides.size())].insert(host);
                say("cut into " + std::to_string(sides.size()) + " parts");
                world_.partition_hosts(std::move(sides));
                return world_.at(later(), [this] { world_.heal(); });
            }
            case Fault::crash: {
                auto& host = anyone();
                if (!host.running()) return;
                say(host.name + (dice_.below(3) == 0 ? " stops" : " crashes"));
                if (host.awake() && dice_.below(3) == 0) host.stop();
                else host.crash();
                return world_.at(later(), [&host] {
                    if (!host.running()) host.start();
                });
            }
            case Fault::move: return world_.move(anyone_but_the_hub(), somewhere());
            case Fault::sleep: {
                auto& host = anyone();
                if (!host.awake()) return;
                say(host.name + " sleeps");
                host.sleep();
                return world_.at(later(), [&host] { host.wake(); });
            }
            case Fault::clock_step: {
                auto& host = anyone();
                host.clock_offset = std::chrono::seconds(dice_.below(60 * 86'400)) - std::chrono::hours(30 * 24);
                return say(host.name + " sets its clock");
            }
            case Fault::reboot_router: {
                const auto lan = world_.network().place(anyone().station).lan;
                say("the router of " + world_.network().name(lan) + " restarts");
                return world_.network().reboot(lan);
            }
            case Fault::bad_weather: {
                world_.weather = {std::chrono::milliseconds(dice_.below(300)), std::chrono::milliseconds(dice_.below(100)),
                                  static_cast<double>(dice_.below(300)) / 1000};
                say("bad weather");
                return world_.at(later(), [this] { world_.weather = fair(); });
            }
            case Fault::unplug: {
                auto& host = anyone();
                say(host.name + " is unplugged");
                world_.unplug(host.address);
                return world_.at(later(), [this, &host] { world_.plug_in(host.address); });
            }
            case Fault::news: {
                auto& admin = *hosts_.front();
                if (!admin.awake()) return;
                mesh::UserRequest user;
                user.aor = "user" + std::to_string(dice_.below(5)) + "@acme.example";
                user.nodes = {name_of(dice_.below(hosts_.size()))};
                say("a record of " + user.aor);
                if (!admin.node().put_user(user, admin.now())) say("was refused");
                return;
            }
        }
    }

    /// The last fault: from now on all is as it should be.
    void end_all() {
        say("the last fault is over");
        world_.heal();
        world_.plug_in_all();
        world_.weather = fair();
        for (auto* host : hosts_) {
            if (!host->running()) host->start();
            host->wake();
        }
    }

    /// Everybody sends to everybody from whom it has heard nothing.
    void greet() {
        for (auto* host : hosts_)
            for (auto* other : hosts_)
                if (host != other && !has_heard(*other, *host)) host->send_overlay(other->overlay(), 1000, 7, net::as_bytes("hello"));
    }
    static bool has_heard(const Host& host, const Host& from) {
        const auto address = from.overlay();
        return std::any_of(host.inner.begin(), host.inner.end(), [&](const auto& one) { return one.from == address; });
    }

    /// What is not as it should be, in words; empty if all is well. A session that carries nothing is none.
    std::string why_not() {
        for (auto* host : hosts_) {
            for (auto* other : hosts_) {
                if (host == other) continue;
                if (!host->is_up(*other)) return host->name + " has no session with " + other->name;
                if (!has_heard(*host, *other)) return "nothing came to " + host->name + " from " + other->name;
            }
        }
        return world_.same_rosters() ? "" : "rosters differ";
    }

    /// What each that misses another knows of ways to it.
    std::string ways() {
        std::string out;
        const auto ago = [](const auto& time) { return time ? std::to_string(time->count()) + " ms" : std::string("never"); };
        for (auto* host : hosts_) {
            for (auto* other : hosts_) {
                if (host == other || (host->is_up(*other) && has_heard(*host, *other) && has_heard(*other, *host))) continue;
                const auto why = host->node().why(other->node().key(), host->now());
                if (!why) continue;
                out += host->name + " to " + other->name + ": " + std::to_string(why->attempts) + " attempts, the next in " + ago(why->next_attempt_in) + '\n';
                for (const auto& way : why->ways) {
                    out += "  " + way.path.to.text() + (way.used ? " in use" : "") + ", " + std::string(mesh::text(way.path.source));
                    if (way.relay) out += ' ' + host->node().name_of(*way.relay);
                    out += ", tried " + ago(way.tried_ago) + ", proven " + ago(way.proven_ago) + ", refused " + ago(way.refused_ago) + " ago\n";
                }
            }
        }
        return out;
    }

    /// All goes on like that. Empty, or a report.
    std::string stays() {
        world_.run_for(kStays);
        for (auto* host : hosts_) host->inner.clear();
        greet();
        world_.run_for(2s);
        greet();
        world_.run_for(1s);
        const auto why = why_not();
        return why.empty() ? why : world_.report("it did not stay so: " + why);
    }

    // Not where UDP is blocked: a stream that has died is noticed after longer than that.
    static constexpr Site kKinds[] = {Site::open, Site::full_cone, Site::address_restricted, Site::port_restricted, Site::symmetric,
                                      Site::symmetric_random, Site::double_nat, Site::ipv6_only};

    World world_;
    net::SeededRandom dice_;
    Sites sites_;
    bool verbose_;
    std::vector<Host*> hosts_;
    std::vector<Place> places_;
    std::uint64_t datagrams_ = 0;
};

}  // namespace

ChaosMembers::ChaosMembers(std::size_t count) {
    World world(1);
    Sites sites(world.network()), elsewhere(world.network(), 50'000);
    auto& admin = world.found(name_of(0), sites.make(Site::open));
    admin.stop();
    admin.listens = true;
    admin.start();
    for (std::size_t i = 1; i < count; ++i) world.join(name_of(i), elsewhere.make(Site::open), admin);
    world.run_for(10s);
    for (auto* host : world.hosts()) {
        host->stop();
        host->disk.endpoints.clear();
        disks.push_back(host->disk);
    }
}

ChaosResult run_chaos(const ChaosMembers& members, std::uint64_t seed, bool verbose) {
    Chaos chaos(members, seed, verbose);
    try {
        return chaos.run();
    } catch (const std::runtime_error& endless) {  // of World::run_for()
        ChaosResult out;
        out.violated = endless.what();
        return out;
    }
}

std::vector<std::size_t> heap_under_chaos(const ChaosMembers& members, std::uint64_t seed, unsigned times) {
    return Chaos(members, seed, false).heap_bytes(times);
}

}  // namespace sim
