/// How the threads that carry packets share the processors with each other and with everything else.
#pragma once

namespace meshd {

/// The calling thread goes before all others whenever it has something to do, for at most 4 ms in 10 (SCHED_DEADLINE,
/// sched(7)): a flood of what calls itself voice leaves the machine the rest. Where that is refused (no CAP_SYS_NICE, a
/// thread that is bound to some of the processors, too many such threads), it goes a little before the others, if it may.
void schedule_as_voice();

/// The calling thread interrupts nobody when it wakes (SCHED_BATCH): where processors are short, each turn carries more.
void schedule_as_bulk();

}  // namespace meshd
