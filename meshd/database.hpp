/// state.db: records, endpoint cache and values in SQLite with a write-ahead log, and the key files beside it. Blocks,
/// so that only the store's thread writes to it.
#pragma once

#include "meshd/batch.hpp"
#include "meshd/sqlite.hpp"
#include "meshd/state_folder.hpp"

namespace meshd {

class Database {
public:
    /// Opens state.db, or makes one in a folder that has neither it nor keys, and checks it: its pages, its schema,
    /// that it goes with the key files, and that it can be written. One of an older meshd gets the tables that are new. Throws StateError rather than begin with less than
    /// what was acknowledged.
    explicit Database(const StateFolder& folder);

    StoredState load();
    /// Writes all of it or nothing. With `synced` it is on the disk, as is everything written before, on return;
    /// without, a power cut may take it (a crash of meshd does not). Throws StateError.
    void write(const Batch& batch, bool synced);

    static constexpr const char* kFile = "state.db";
    static constexpr const char* kNodeKeyFile = "node.key";
    static constexpr const char* kTunnelKeyFile = "tunnel.key";
    static constexpr const char* kRootKeyFile = "root.key";

private:
    void check();
    std::optional<mesh::NodeIdentity> load_identity();
    void write_identity(const mesh::NodeIdentity& identity);

    const StateFolder& folder_;
    Sqlite sqlite_;
};

}  // namespace meshd
