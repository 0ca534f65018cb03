#include "loop/fd_watch.hpp"

#include <system_error>

#include "loop/inner.hpp"

namespace loop {

struct FdWatch::Inner {
    Loop::Inner& loop;
    std::function<void(Readiness)> ready;
    uv_poll_t handle{};
    int events = 0;
    bool closed = false;

    void poll();
};

// UV_PRIORITIZED keeps libuv from taking a full error queue (IP_RECVERR with SO_SELECT_ERR_QUEUE) for a dead
// descriptor. It stops the watch where POLLERR comes without it: then the error is told, and the watch goes on.
void FdWatch::Inner::poll() {
    uv_poll_start(&handle, events, [](uv_poll_t* poll_handle, int status, int happened) {
        auto* const self = static_cast<Inner*>(poll_handle->data);
        if (self->closed) return;
        if (status < 0) {  // as libuv does by itself for POLLERR alone: whatever is wanted may learn of the error
            happened = self->events;
            self->poll();
        }
        const Readiness readiness{.readable = (happened & UV_READABLE) != 0,
                                  .writable = (happened & UV_WRITABLE) != 0,
                                  .error = (happened & UV_PRIORITIZED) != 0};
        self->loop.guarded([&] { self->ready(readiness); });
    });
}

FdWatch::FdWatch(Loop& loop, int fd, std::function<void(Readiness)> ready)
    : inner_(new Inner{.loop = loop.inner(), .ready = std::move(ready)}) {
    if (const int status = uv_poll_init(&loop.inner().uv, &inner_->handle, fd); status != 0) {
        delete inner_;
        throw std::system_error(-status, std::generic_category(), "cannot watch a file descriptor");
    }
    inner_->handle.data = inner_;
}

FdWatch::~FdWatch() {
    inner_->closed = true;
    close_and_delete(inner_, &inner_->handle);
}

void FdWatch::want(bool read, bool write) {
    int events = (read ? UV_READABLE : 0) | (write ? UV_WRITABLE : 0);
    if (events != 0) events |= UV_PRIORITIZED;
    if (events == inner_->events) return;
    inner_->events = events;
    if (events == 0) {
        uv_poll_stop(&inner_->handle);
    } else {
        inner_->poll();
    }
}

}  // namespace loop
