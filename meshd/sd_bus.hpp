/// libsystemd's D-Bus client, opened when it is first needed: with what it needs itself it holds more than 1 MB, and a
/// machine without systemd-resolved has no use for it.
#pragma once

#include <systemd/sd-bus.h>

namespace meshd {

/// Its functions, by their names without "sd_bus_". They stay valid until the process ends.
struct SdBus {
#define MESHD_SD_BUS_FUNCTIONS(X)                                                                                       \
    X(open_system) X(close) X(unref) X(add_match_async) X(get_fd) X(is_open) X(process) X(get_events) X(get_timeout) X(call_async) \
    X(send) X(slot_unref) X(error_has_name) X(message_unref) X(message_new_method_call) X(message_set_auto_start)       \
    X(message_append) X(message_append_array) X(message_open_container) X(message_close_container)                      \
    X(message_set_expect_reply) X(message_get_error) X(message_read)
#define MESHD_SD_BUS_MEMBER(name) decltype(&::sd_bus_##name) name = nullptr;
    MESHD_SD_BUS_FUNCTIONS(MESHD_SD_BUS_MEMBER)
#undef MESHD_SD_BUS_MEMBER

    /// False where the library is not there; asking again is cheap once it was found. Control thread only.
    bool load();
};

}  // namespace meshd
