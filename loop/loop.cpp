#include "loop/loop.hpp"

#include <cassert>
#include <system_error>
#include <utility>

#include "loop/clock.hpp"
#include "loop/inner.hpp"

// A turn of libuv's loop: timers, (idle, prepare), poll with the callbacks of descriptors, check, closing.
// The clocks are read when first asked for after the prepare step (so descriptors see the time after waiting) and
// again after the check step (so timers see a time at or behind their deadline).

namespace loop {
namespace {

template <class Handle>
Loop::Inner& inner_of(Handle* handle) {
    return *static_cast<Loop::Inner*>(handle->data);
}

void must(int status, const char* what) {
    if (status != 0) throw std::system_error(-status, std::generic_category(), what);
}

}  // namespace

Loop::Loop() : inner_(std::make_unique<Inner>()) {
    must(uv_loop_init(&inner_->uv), "cannot make an event loop");
    auto* const uv = &inner_->uv;
    must(uv_async_init(uv, &inner_->posted, [](uv_async_t* handle) { inner_of(handle).run_posted(); }), "event loop");
    uv_prepare_init(uv, &inner_->before_poll);
    uv_check_init(uv, &inner_->after_poll);
    uv_idle_init(uv, &inner_->do_not_wait);
    inner_->posted.data = inner_->before_poll.data = inner_->after_poll.data = inner_->do_not_wait.data = inner_.get();
    uv_prepare_start(&inner_->before_poll, [](uv_prepare_t* handle) { inner_of(handle).read_now.reset(); });
    uv_check_start(&inner_->after_poll, [](uv_check_t* handle) {
        inner_of(handle).run_deferred();
        inner_of(handle).read_now.reset();
    });
}

Loop::~Loop() {
    inner_->deferred_tasks.clear();  // what they hold may be on this loop
    inner_->posted_tasks.clear();
    const auto close = [](auto* handle) { uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr); };
    close(&inner_->posted);
    close(&inner_->before_poll);
    close(&inner_->after_poll);
    close(&inner_->do_not_wait);
    constexpr int kTurns = 4;  // closing takes one, a stop that is pending another
    int status = UV_EBUSY;
    for (int turn = 0; turn < kTurns && status == UV_EBUSY; ++turn) {
        uv_run(&inner_->uv, UV_RUN_NOWAIT);
        status = uv_loop_close(&inner_->uv);
    }
    assert(status == 0 && "something on the loop outlived it");
}

void Loop::run() { inner_->run(UV_RUN_DEFAULT); }

void Loop::run_once() { inner_->run(UV_RUN_ONCE); }

void Loop::stop() { uv_stop(&inner_->uv); }

void Loop::Inner::run(uv_run_mode mode) {
    read_now.reset();
    running = true;
    uv_run(&uv, mode);
    running = false;
    if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
}

net::Now Loop::now() const { return inner_->now(); }

net::Now Loop::Inner::now() {
    if (!running) return read_clocks();
    if (!read_now) read_now = read_clocks();
    return *read_now;
}

void Loop::post(std::function<void()> task) {
    {
        const std::lock_guard lock(inner_->mutex);
        inner_->posted_tasks.push_back(std::move(task));
    }
    uv_async_send(&inner_->posted);
}

void Loop::defer(std::function<void()> task) {
    if (inner_->deferred_tasks.empty()) uv_idle_start(&inner_->do_not_wait, [](uv_idle_t*) {});
    inner_->deferred_tasks.push_back(std::move(task));
}

void Loop::Inner::run_posted() {
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(mutex);
        tasks.swap(posted_tasks);
    }
    for (const auto& task : tasks) guarded(task);
}

void Loop::Inner::run_deferred() {
    // What a deferred task defers waits for the next turn, so that it cannot starve the descriptors.
    uv_idle_stop(&do_not_wait);
    const auto tasks = std::exchange(deferred_tasks, {});
    for (const auto& task : tasks) guarded(task);
}

}  // namespace loop
