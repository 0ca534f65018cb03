#include <catch2/catch.hpp>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "meshd/scheduling.hpp"

namespace {

constexpr int kDeadlinePolicy = 6;  // SCHED_DEADLINE, sched(7)

}  // namespace

TEST_CASE("a thread for voice goes before the others where it may, and leaves them as they are") {
    int policy = -1, nice = 0;
    std::thread([&] {
        meshd::schedule_as_voice();
        policy = ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
        nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
    }).join();
    // Root in a container may be denied both.
    const bool first = policy == kDeadlinePolicy || nice < 0;
    if (!first) WARN("this machine lets no thread go first");
    if (policy != kDeadlinePolicy) CHECK(policy == SCHED_OTHER);
    CHECK(::sched_getscheduler(0) == SCHED_OTHER);
}

TEST_CASE("a thread for bulk interrupts nobody") {
    std::thread([] {
        meshd::schedule_as_bulk();
        CHECK(::sched_getscheduler(0) == SCHED_BATCH);
    }).join();
    CHECK(::sched_getscheduler(0) == SCHED_OTHER);
}
