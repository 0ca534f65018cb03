/// What counts of a set of records: a pure function, whatever order they came in.
#pragma once

#include "mesh/roster.hpp"

namespace mesh {

/// The root's admins: the highest of its member records says so, and it has not revoked them.
std::set<net::NodeKey> admins_of(const net::NodeKey& root, const Roster::Entries& entries,
                                 const std::set<net::NodeKey>& root_revoked);
/// Every revocation that counts. `admins` without the root.
std::map<net::NodeKey, Revocation> revocations_of(const net::NodeKey& root, const Roster::Entries& entries,
                                                  const std::set<net::NodeKey>& admins);
View view_of(const net::NodeKey& root, const Roster::Entries& entries, const std::set<net::NodeKey>& admins,
             std::optional<net::Wall> time);

}  // namespace mesh
