#include "meshd/sd_bus.hpp"

#include <dlfcn.h>

namespace meshd {

bool SdBus::load() {
    if (open_system != nullptr) return true;
    // Never closed: slots and messages may outlive whoever asks.
    void* library = ::dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return false;
    SdBus found;
    bool all = true;
#define MESHD_SD_BUS_FIND(name)                                                                        \
    found.name = reinterpret_cast<decltype(found.name)>(::dlsym(library, "sd_bus_" #name)); \
    all = all && found.name != nullptr;
    MESHD_SD_BUS_FUNCTIONS(MESHD_SD_BUS_FIND)
#undef MESHD_SD_BUS_FIND
    if (all) *this = found;
    return all;
}

}  // namespace meshd
