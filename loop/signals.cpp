#include "loop/signals.hpp"

#include "loop/inner.hpp"

namespace loop {

struct Signals::Inner {
    Loop::Inner& loop;
    std::function<void(int)> arrived;
    uv_signal_t handle{};
    bool closed = false;
};

Signals::Signals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> arrived) {
    for (const int number : numbers) {
        auto* const inner = new Inner{.loop = loop.inner(), .arrived = arrived};
        uv_signal_init(&loop.inner().uv, &inner->handle);
        inner->handle.data = inner;
        uv_signal_start(
            &inner->handle,
            [](uv_signal_t* handle, int signal) {
                auto* const self = static_cast<Inner*>(handle->data);
                if (!self->closed) self->loop.guarded([&] { self->arrived(signal); });
            },
            number);
        inner_.push_back(inner);
    }
}

Signals::~Signals() {
    for (auto* const inner : inner_) {
        inner->closed = true;
        close_and_delete(inner, &inner->handle);
    }
}

}  // namespace loop
