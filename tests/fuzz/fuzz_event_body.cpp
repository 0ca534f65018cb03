// What another node tells of its users' calls. What is accepted is bounded, and written back as it came.
#include <cstdint>
#include <cstdlib>

#include "voice/event_body.hpp"

namespace {
void require(bool held) {
    if (!held) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto dialogs = voice::parse_calls_body(text);
    if (!dialogs) return 0;
    require(dialogs->size() <= voice::kMaxDialogs);
    require(voice::calls_body(*dialogs) == text);
    for (const auto& dialog : *dialogs) require(dialog.id.find_first_of("<>&\"' \r\n") == std::string::npos);
    return 0;
}
