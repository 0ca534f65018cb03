/// What the sources of this folder share: libuv's side of a Loop. Not for others, as it includes uv.h.
#pragma once

#include <uv.h>

#include <exception>
#include <mutex>
#include <optional>
#include <vector>

#include "loop/loop.hpp"

namespace loop {

struct Loop::Inner {
    uv_loop_t uv{};
    uv_async_t posted{};
    uv_prepare_t before_poll{};
    uv_check_t after_poll{};
    uv_idle_t do_not_wait{};  ///< active while tasks are deferred

    std::mutex mutex;
    std::vector<std::function<void()>> posted_tasks;  ///< under mutex

    std::vector<std::function<void()>> deferred_tasks;
    std::optional<net::Now> read_now;  ///< as read in this turn
    bool running = false;
    bool in_timer = false;
    std::exception_ptr thrown;

    void run_posted();
    void run_deferred();
    void run(uv_run_mode mode);
    net::Now now();

    /// Every callback of libuv that runs foreign code goes through here: exceptions must not cross C.
    template <class Task>
    void guarded(const Task& task) {
        try {
            task();
        } catch (...) {
            if (!thrown) thrown = std::current_exception();
            uv_stop(&uv);
        }
    }
};

/// libuv frees a handle in its own time: the object that holds it lives until then.
template <class Holder, class Handle>
void close_and_delete(Holder* holder, Handle* handle) {
    handle->data = holder;
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete static_cast<Holder*>(closed->data); });
}

}  // namespace loop
