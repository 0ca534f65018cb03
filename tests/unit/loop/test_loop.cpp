#include <catch2/catch.hpp>
#include <csignal>
#include <sys/socket.h>
#include <thread>

#include "loop/clock.hpp"
#include "loop/fd_watch.hpp"
#include "loop/file_descriptor.hpp"
#include "loop/signals.hpp"
#include "loop/timer.hpp"

using namespace std::chrono_literals;

TEST_CASE("a timer fires once, not before its deadline, and in the order of deadlines") {
    loop::Loop loop;
    std::string order;
    const auto start = loop.now().steady;
    loop::Timer late(loop, [&] {
        order += 'l';
        CHECK(loop.now().steady >= start + 3ms + 1us);
        loop.stop();
    });
    loop::Timer early(loop, [&] {
        order += 'e';
        CHECK(loop.now().steady >= start + 1ms + 500us);
    });
    loop::Timer never(loop, [&] { order += 'n'; });
    late.at(start + 3ms + 1us);
    early.at(start + 1ms + 500us);
    never.at(start);
    never.cancel();
    CHECK(never.deadline() == net::kNever);
    loop.run();
    CHECK(order == "el");
    CHECK(early.deadline() == net::kNever);
}

TEST_CASE("a deadline within a millisecond is waited for to its end") {
    loop::Loop loop;
    for (int i = 0; i < 10; ++i) {
        const auto deadline = std::chrono::ceil<std::chrono::milliseconds>(loop.now().steady) + 1ms + 990us;
        loop::Timer timer(loop, [&] {
            CHECK(loop.now().steady >= deadline);
            loop.stop();
        });
        timer.at(deadline);
        loop.run();
    }
}

TEST_CASE("a timer that sets itself to the past again and again does not stop the rest") {
    loop::Loop loop;
    int turns = 0;
    loop::Timer again(loop, [&] {
        ++turns;
        again.at(loop.now().steady - 1s);
    });
    again.at(loop.now().steady - 1s);
    loop::Timer end(loop, [&] { loop.stop(); });
    end.after(5ms);
    loop.run();
    CHECK(turns >= 2);
}

TEST_CASE("a timer may be destroyed by its own callback") {
    loop::Loop loop;
    std::unique_ptr<loop::Timer> timer;
    timer = std::make_unique<loop::Timer>(loop, [&] {
        timer.reset();
        loop.stop();
    });
    timer->after(0ms);
    loop.run();
    CHECK_FALSE(timer);
}

TEST_CASE("the clocks are read once a turn") {
    loop::Loop loop;
    int checked = 0;
    net::Steady first;
    loop.post([&] {
        first = loop.now().steady;
        while (loop::read_clocks().steady == first) {
        }
        CHECK(loop.now().steady == first);
        ++checked;
        loop.defer([&] {
            CHECK(loop.now().steady == first);
            loop.defer([&] {
                CHECK(loop.now().steady > first);
                ++checked;
                loop.stop();
            });
        });
    });
    loop.run();
    CHECK(checked == 2);
}

TEST_CASE("tasks posted by another thread run in order on the loop's") {
    loop::Loop loop;
    std::vector<int> seen;
    const auto here = std::this_thread::get_id();
    std::thread other([&] {
        for (int i = 0; i < 100; ++i) {
            loop.post([&, i] {
                CHECK(std::this_thread::get_id() == here);
                seen.push_back(i);
                if (i == 99) loop.stop();
            });
        }
    });
    loop.run();
    other.join();
    REQUIRE(seen.size() == 100);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("what a callback throws comes out of run, and the loop runs on") {
    loop::Loop loop;
    loop.post([] { throw std::runtime_error("from a task"); });
    CHECK_THROWS_WITH(loop.run(), "from a task");
    bool ran = false;
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    loop.run();
    CHECK(ran);
}

TEST_CASE("a watch tells of readable, writable and hung up, and may go in its callback") {
    loop::Loop loop;
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    const loop::FileDescriptor left(pair[0]);
    loop::FileDescriptor right(pair[1]);
    std::string seen;
    std::unique_ptr<loop::FdWatch> watch;
    watch = std::make_unique<loop::FdWatch>(loop, left.get(), [&](loop::Readiness ready) {
        if (ready.writable) {
            seen += 'w';
            watch->want(true, false);
            CHECK(::write(right.get(), "x", 1) == 1);
        } else if (ready.readable) {
            char byte = 0;
            seen += ::read(left.get(), &byte, 1) == 1 ? 'r' : 'e';
            if (seen.back() == 'r') right.close();
            if (seen.back() == 'e') {
                watch.reset();
                loop.stop();
            }
        }
    });
    watch->want(false, true);
    loop.run();
    CHECK(seen == "wre");
}

TEST_CASE("a descriptor's number may be watched anew at once") {
    loop::Loop loop;
    int told = 0;
    for (int i = 0; i < 3; ++i) {
        int pair[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        const loop::FileDescriptor left(pair[0]);
        const loop::FileDescriptor right(pair[1]);
        loop::FdWatch watch(loop, left.get(), [&](loop::Readiness) {
            ++told;
            loop.stop();
        });
        watch.want(true, false);
        CHECK(::write(right.get(), "x", 1) == 1);
        loop.run();
    }
    CHECK(told == 3);
}

TEST_CASE("a signal arrives as an event") {
    loop::Loop loop;
    int arrived = 0;
    loop::Signals signals(loop, {SIGUSR1, SIGHUP}, [&](int number) {
        arrived = number;
        loop.stop();
    });
    loop.post([] { ::raise(SIGHUP); });
    loop.run();
    CHECK(arrived == SIGHUP);
}
