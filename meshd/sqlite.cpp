#include "meshd/sqlite.hpp"

#include <sqlite3.h>
#include <cstring>

#include "meshd/state_folder.hpp"

namespace meshd {

Sqlite::Sqlite(std::string path) : path_(std::move(path)) {
    const int code = sqlite3_open_v2(path_.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (code == SQLITE_OK) return;
    try {
        fail(code);
    } catch (...) {
        sqlite3_close(handle_);
        throw;
    }
}

Sqlite::~Sqlite() {
    sqlite3_close(handle_);
}

void Sqlite::fail(int code) const {
    const int system_error = handle_ == nullptr ? 0 : sqlite3_system_errno(handle_);
    switch (code & 0xff) {
        case SQLITE_FULL:
            throw StateError("cannot write " + path_ + ": the disk is full; make room and start meshd again");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            throw StateError(path_ + " is damaged (" + sqlite3_errstr(code) +
                             "). Restore it from a backup; or move the whole folder away and join the mesh anew");
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            throw StateError(path_ + " is in use by another program: end it and start meshd again");
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR:
            throw StateError("cannot use " + path_ + ": " + sqlite3_errstr(code) +
                             (system_error != 0 ? std::string(", ") + std::strerror(system_error) : std::string()));
        default:
            throw StateError("cannot use " + path_ + ": " + sqlite3_errmsg(handle_));
    }
}

void Sqlite::run(const std::string& sql) {
    if (const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code);
}

std::int64_t Sqlite::number(const std::string& sql) {
    Statement statement(*this, sql);
    return statement.step() ? statement.number(0) : 0;
}

Statement::Statement(Sqlite& database, std::string_view sql) : database_(database) {
    const int code = sqlite3_prepare_v2(database.handle_, sql.data(), static_cast<int>(sql.size()), &handle_, nullptr);
    if (code != SQLITE_OK) database.fail(code);
}

Statement::~Statement() {
    sqlite3_finalize(handle_);
}

Statement& Statement::bind(int parameter, net::ByteView blob) {
    const int code = sqlite3_bind_blob64(handle_, parameter, blob.empty() ? "" : static_cast<const void*>(blob.data()),
                                         blob.size(), SQLITE_STATIC);
    if (code != SQLITE_OK) database_.fail(code);
    return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
    const int code = sqlite3_bind_text64(handle_, parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    if (code != SQLITE_OK) database_.fail(code);
    return *this;
}

Statement& Statement::bind(int parameter, std::int64_t number) {
    if (const int code = sqlite3_bind_int64(handle_, parameter, number); code != SQLITE_OK) database_.fail(code);
    return *this;
}

bool Statement::step() {
    const int code = sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    sqlite3_reset(handle_);
    if (code != SQLITE_DONE) database_.fail(code);
    return false;
}

net::Bytes Statement::blob(int column) const {
    const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(handle_, column));
    return data == nullptr ? net::Bytes() : net::Bytes(data, data + sqlite3_column_bytes(handle_, column));
}

std::string Statement::text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
    return data == nullptr ? std::string()
                           : std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column)));
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(handle_, column);
}

}  // namespace meshd
