/// The phones of one user, as the store keeps them over a restart.
#pragma once

#include "net/bytes.hpp"
#include "voice/proxy.hpp"

namespace meshd {

net::Bytes to_value(const std::vector<voice::SavedBinding>& bindings);
/// What cannot be read is left out.
std::vector<voice::SavedBinding> saved_phones(net::ByteView value);

}  // namespace meshd
