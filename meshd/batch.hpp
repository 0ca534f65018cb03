/// What is to be written in one go, and what was there at start.
#pragma once

#include <map>
#include <string>

#include "mesh/identity.hpp"
#include "net/address.hpp"
#include "net/time.hpp"

namespace meshd {

/// Where a member was reached, for the next start.
struct CachedEndpoint {
    net::TunnelKey tunnel_key;
    net::Endpoint endpoint;
    net::Wall seen{};
    bool operator==(const CachedEndpoint&) const = default;
};

/// Upserts and deletions: the last word on a key counts. Written whole or not at all.
struct Batch {
    std::map<net::Bytes, net::Bytes> records;                         ///< by key, verbatim; an empty one is deleted
    std::map<net::NodeKey, std::optional<CachedEndpoint>> endpoints;  ///< nullopt is deleted
    std::map<std::string, net::Bytes> values;                         ///< small things by name; an empty one is deleted
    std::optional<mesh::NodeIdentity> identity;  ///< once in a store's life: its key files and its mesh

    bool empty() const { return records.empty() && endpoints.empty() && values.empty() && !identity; }
    /// Adds what `later` says, which wins where both say something.
    void merge(Batch later);
};

struct StoredState {
    std::optional<mesh::NodeIdentity> identity;  ///< none before init or join
    std::vector<net::Bytes> records;
    std::map<net::NodeKey, CachedEndpoint> endpoints;
    std::map<std::string, net::Bytes> values;
};

}  // namespace meshd
