#include "meshd/scheduling.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace meshd {

namespace {

// sched_setattr(2), of which glibc 2.36 has neither the function nor the structure.
struct Attributes {
    std::uint32_t size, policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime_ns, deadline_ns, period_ns;
};
constexpr std::uint32_t kDeadline = 6;      // SCHED_DEADLINE
constexpr std::uint64_t kResetOnFork = 1;   // SCHED_FLAG_RESET_ON_FORK

// 200 calls are 20,000 packets a second both ways, at some 15 us each: 3 ms of 10. Measured, two processors that TCP
// fills both ways through the tunnel: the 99th percentile of a call's delay grows by 1.5 ms; with nice -10 by 8.7.
constexpr std::uint64_t kRuntimeNs = 4'000'000, kPeriodNs = 10'000'000;

constexpr int kNice = -10;

}  // namespace

void schedule_as_voice() {
    Attributes wanted{sizeof(Attributes), kDeadline, kResetOnFork, 0, 0, kRuntimeNs, kPeriodNs, kPeriodNs};
    if (::syscall(SYS_sched_setattr, 0, &wanted, 0U) == 0) return;
    // Linux takes a thread for this, not a process.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

// Measured: 6 % less processor time a byte on two processors that are full.
void schedule_as_bulk() {
    const sched_param none{};
    ::sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace meshd
