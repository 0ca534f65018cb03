/// The scene with a desk phone more in each office: fay in trento, gus in munich, hal and ida in london.
#pragma once

#include <catch2/catch.hpp>

#include "desk_phone.hpp"
#include "offices.hpp"

namespace test {

struct Desks : Scene {
    explicit Desks(std::uint64_t seed = 1, const std::function<void(voice::ProxySettings&)>& change = {})
        : Scene(seed, true, change),
          fay(world, "fay", trento.phone(30), trento.lan()),
          gus(world, "gus", munich.phone(30), munich.lan()),
          hal(world, "hal", london.phone(30), london.lan()),
          ida(world, "ida", london.phone(31), london.lan()) {
        for (const auto& [user, node] : {std::pair("fay", "trento"), {"gus", "munich"}, {"hal", "london"}, {"ida", "london"}}) {
            roster.add_user(user, node);
            centre.passwords[user] = "secret";
        }
        roster.numbers["103"] = "hal@acme.example";
    }
    void register_desks() {
        for (auto* phone : {&fay, &gus, &hal, &ida}) phone->register_now();
        world.run(2s);
    }
    /// Two seconds later the callee rings, and nobody picks up.
    DeskPhone::LineId ring(DeskPhone& caller, DeskPhone& callee, const std::string& user) {
        callee.answers = false;
        const auto line = caller.call("sip:" + user + "@acme.example");
        world.run(2s);
        REQUIRE(caller.last("INVITE") == 180);
        return line;
    }
    /// The centre's program or its line is gone; every office knows, unless `at_once`.
    void kill_centre(bool at_once = false) {
        centre.alive = false;
        if (!at_once) world.run(8s);
    }

    DeskPhone fay, gus, hal, ida;
};

}  // namespace test
