// The row in `identity` is what makes key files count. They are written first, so that after a crash between the two
// there are files that vouch for nothing: nobody has been told yet that the mesh was made or joined.
#include "meshd/database.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace meshd {
namespace {

constexpr std::int64_t kApplicationId = 0x6d657368;  // "mesh", in the file's header

// What brings a database from the version of its index to the next one. Only ever added to: a new table is a new step.
constexpr std::array kSteps = {R"(
CREATE TABLE identity (id INTEGER PRIMARY KEY CHECK (id = 1), mesh_id BLOB NOT NULL, mesh_name TEXT NOT NULL,
                       node_key BLOB NOT NULL, has_root INTEGER NOT NULL) STRICT;
CREATE TABLE records (key BLOB PRIMARY KEY, wire BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE endpoints (node BLOB PRIMARY KEY, tunnel BLOB NOT NULL, endpoint TEXT NOT NULL, seen INTEGER NOT NULL) STRICT;
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
)"};

/// In one transaction, all or nothing.
void bring_up_to_date(Sqlite& sqlite) {
    sqlite.run("BEGIN");
    const auto version = static_cast<std::size_t>(sqlite.number("PRAGMA user_version"));
    for (std::size_t step = version; step < kSteps.size(); ++step) sqlite.run(kSteps[step]);
    sqlite.run("PRAGMA user_version=" + std::to_string(kSteps.size()));
    sqlite.run("COMMIT");
}

/// The public half of an Ed25519 secret key as libsodium keeps it.
net::NodeKey public_half(const net::NodeSecret& secret) {
    return *net::NodeKey::from(secret.view().last(32));
}

/// Made under another name, so that a state.db is never half of one.
void create(const StateFolder& folder) {
    const auto path = folder.file(Database::kFile), temporary = path + ".new";
    for (const auto* suffix : {"", "-journal", "-wal", "-shm"}) ::unlink((temporary + suffix).c_str());
    {
        // SQLite would give it the mode of the umask; its log takes the mode of the database.
        const loop::FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file.is_open()) throw StateError("cannot create " + path + ": " + std::strerror(errno));
    }
    {
        Sqlite sqlite(temporary);
        sqlite.run("PRAGMA synchronous=FULL");
        sqlite.run("PRAGMA application_id=" + std::to_string(kApplicationId));
        bring_up_to_date(sqlite);
    }
    if (std::rename(temporary.c_str(), path.c_str()) != 0) {
        throw StateError("cannot create " + path + ": " + std::strerror(errno));
    }
    folder.sync();
}

std::string ready(const StateFolder& folder) {
    if (!folder.has(Database::kFile)) {
        for (const auto* key : {Database::kRootKeyFile, Database::kNodeKeyFile, Database::kTunnelKeyFile}) {
            if (!folder.has(key)) continue;
            throw StateError(folder.file(Database::kFile) +
                             " is missing, but the keys beside it are there. Restore it from a " +
                             "backup; or move the keys away to begin as a new node, which has to join the mesh anew");
        }
        create(folder);
    }
    return folder.file(Database::kFile);
}

}  // namespace

void Batch::merge(Batch later) {
    later.records.merge(records);
    records = std::move(later.records);
    later.endpoints.merge(endpoints);
    endpoints = std::move(later.endpoints);
    later.values.merge(values);
    values = std::move(later.values);
    if (later.identity) identity = std::move(later.identity);
}

Database::Database(const StateFolder& folder) : folder_(folder), sqlite_(ready(folder)) {
    // The folder's lock keeps others out, and with an exclusive lock SQLite needs no shared memory.
    sqlite_.run("PRAGMA locking_mode=EXCLUSIVE");
    check();
    sqlite_.run("PRAGMA journal_mode=WAL");
    bring_up_to_date(sqlite_);
    sqlite_.run("PRAGMA cache_size=-512");
    Batch probe;
    probe.values["opened"] = net::copy(net::as_bytes("1"));
    write(probe, true);
}

void Database::check() {
    const auto& path = sqlite_.path();
    const auto application = sqlite_.number("PRAGMA application_id");
    const auto version = sqlite_.number("PRAGMA user_version");
    if (application != kApplicationId) {
        throw StateError(path +
                         " is damaged: it is empty, or no state of meshd. Restore it from a backup; or move the " +
                         "whole folder away and join the mesh anew");
    }
    const auto known = static_cast<std::int64_t>(kSteps.size());
    if (version > known) {
        throw StateError(path + " was written by a newer meshd (schema " + std::to_string(version) +
                         ", this one knows " + std::to_string(known) +
                         "): install that version or a newer one");
    }
    Statement integrity(sqlite_, "PRAGMA integrity_check(1)");
    if (integrity.step() && integrity.text(0) != "ok") {
        throw StateError(path + " is damaged (" + integrity.text(0) +
                         "). Restore it from a backup; or move the whole folder away and join the mesh anew");
    }
}

StoredState Database::load() {
    StoredState state;
    state.identity = load_identity();
    for (Statement rows(sqlite_, "SELECT wire FROM records"); rows.step();) state.records.push_back(rows.blob(0));
    for (Statement rows(sqlite_, "SELECT node, tunnel, endpoint, seen FROM endpoints"); rows.step();) {
        const auto node = net::NodeKey::from(rows.blob(0));
        const auto tunnel = net::TunnelKey::from(rows.blob(1));
        const auto endpoint = net::Endpoint::parse(rows.text(2));
        if (!node || !tunnel || !endpoint) continue;  // a cache: what cannot be read is found again
        state.endpoints[*node] = {*tunnel, *endpoint, net::from_unix_seconds(rows.number(3))};
    }
    for (Statement rows(sqlite_, "SELECT name, value FROM state"); rows.step();)
        state.values[rows.text(0)] = rows.blob(1);
    state.values.erase("opened");
    return state;
}

std::optional<mesh::NodeIdentity> Database::load_identity() {
    Statement row(sqlite_, "SELECT mesh_id, mesh_name, node_key, has_root FROM identity");
    if (!row.step()) return std::nullopt;
    const auto mesh_id = net::NodeKey::from(row.blob(0));
    const auto node_key = net::NodeKey::from(row.blob(2));
    if (!mesh_id || !node_key) throw StateError(sqlite_.path() + " is damaged: the mesh's id is no key");
    const auto read = [&](const char* name, std::span<std::byte> out) {
        if (folder_.read_secret(name, out)) return;
        throw StateError(folder_.file(name) + " is missing. Restore it from a backup; or move the whole folder away " +
                         "and join the mesh anew");
    };
    const auto check_key = [&](const char* name, const net::NodeSecret& secret, const net::NodeKey& expected) {
        if (public_half(secret) == expected) return;
        throw StateError(folder_.file(name) + " is not the key that belongs to " + sqlite_.path() +
                         ". Restore both from the same backup");
    };
    mesh::NodeIdentity identity;
    identity.mesh_id = *mesh_id;
    identity.mesh_name = row.text(1);
    read(kNodeKeyFile, identity.node_secret.fill());
    check_key(kNodeKeyFile, identity.node_secret, *node_key);
    read(kTunnelKeyFile, identity.tunnel_secret.fill());
    if (row.number(3) != 0) {
        read(kRootKeyFile, identity.root_secret.emplace().fill());
        check_key(kRootKeyFile, *identity.root_secret, *mesh_id);
    }
    return identity;
}

void Database::write_identity(const mesh::NodeIdentity& identity) {
    const auto node_key = public_half(identity.node_secret);
    Statement insert(sqlite_, "INSERT INTO identity VALUES (1, ?1, ?2, ?3, ?4)");
    insert.bind(1, identity.mesh_id.view()).bind(2, std::string_view(identity.mesh_name)).bind(3, node_key.view());
    insert.bind(4, std::int64_t{identity.root_secret.has_value()}).run();
}

void Database::write(const Batch& batch, bool synced) {
    if (batch.identity) {
        if (sqlite_.number("SELECT count(*) FROM identity") != 0) {
            throw StateError("the state folder " + folder_.path() + " belongs to a mesh already");
        }
        if (batch.identity->root_secret) folder_.write_secret(kRootKeyFile, batch.identity->root_secret->view());
        folder_.write_secret(kNodeKeyFile, batch.identity->node_secret.view());
        folder_.write_secret(kTunnelKeyFile, batch.identity->tunnel_secret.view());
    }
    // In a write-ahead log FULL syncs every commit and with it all before it, NORMAL none (sqlite.org/wal.html).
    sqlite_.run(synced || batch.identity ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    sqlite_.run("BEGIN IMMEDIATE");
    try {
        if (batch.identity) write_identity(*batch.identity);
        Statement put_record(sqlite_, "INSERT OR REPLACE INTO records VALUES (?1, ?2)");
        Statement drop_record(sqlite_, "DELETE FROM records WHERE key = ?1");
        for (const auto& [key, wire] : batch.records) {
            if (wire.empty()) {
                drop_record.bind(1, net::ByteView(key)).run();
            } else {
                put_record.bind(1, net::ByteView(key)).bind(2, net::ByteView(wire)).run();
            }
        }
        Statement put_endpoint(sqlite_, "INSERT OR REPLACE INTO endpoints VALUES (?1, ?2, ?3, ?4)");
        Statement drop_endpoint(sqlite_, "DELETE FROM endpoints WHERE node = ?1");
        for (const auto& [node, cached] : batch.endpoints) {
            if (cached) {
                const auto text = cached->endpoint.text();
                put_endpoint.bind(1, node.view()).bind(2, cached->tunnel_key.view()).bind(3, std::string_view(text));
                put_endpoint.bind(4, net::unix_seconds(cached->seen)).run();
            } else {
                drop_endpoint.bind(1, node.view()).run();
            }
        }
        Statement put_value(sqlite_, "INSERT OR REPLACE INTO state VALUES (?1, ?2)");
        Statement drop_value(sqlite_, "DELETE FROM state WHERE name = ?1");
        for (const auto& [name, value] : batch.values) {
            if (value.empty()) {
                drop_value.bind(1, std::string_view(name)).run();
            } else {
                put_value.bind(1, std::string_view(name)).bind(2, net::ByteView(value)).run();
            }
        }
        sqlite_.run("COMMIT");
    } catch (const StateError&) {
        // SQLite has rolled back by itself after some errors, where this one then fails: that is no news.
        try {
            sqlite_.run("ROLLBACK");
        } catch (const StateError&) {
        }
        throw;
    }
    // Into the main file with what everything else hangs on, so that a lost log cannot take it.
    if (batch.identity) sqlite_.run("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace meshd
