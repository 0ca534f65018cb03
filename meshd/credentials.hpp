/// What a user record's sealed credentials hold: the HA1 values (RFC 7616 section 3.4.2) of one user in one realm.
#pragma once

#include <optional>
#include <string>

#include "net/bytes.hpp"
#include "voice/directory.hpp"

namespace meshd {

/// The HA1 values of `password` for the user part of `aor`, as bytes for a user record. The password is not kept.
net::Bytes make_credentials(const voice::Aor& aor, const std::string& realm, std::string_view password);

/// Nullopt if these are no such bytes.
std::optional<voice::UserRecord> read_credentials(const voice::Aor& aor, net::ByteView credentials);

}  // namespace meshd
