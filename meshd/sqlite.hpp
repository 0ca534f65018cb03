/// SQLite behind RAII. Everything that fails throws StateError with the file's name, the reason and what to do.
#pragma once

#include <string>

#include "net/bytes.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace meshd {

class Sqlite {
public:
    /// Opens a database that exists. Used by one thread at a time.
    explicit Sqlite(std::string path);
    ~Sqlite();
    Sqlite(const Sqlite&) = delete;
    Sqlite& operator=(const Sqlite&) = delete;

    void run(const std::string& sql);
    std::int64_t number(const std::string& sql);  ///< of the first column of the first row; 0 if there is none
    const std::string& path() const { return path_; }

private:
    friend class Statement;
    [[noreturn]] void fail(int code) const;

    std::string path_;
    sqlite3* handle_ = nullptr;
};

/// A prepared statement; parameters are numbered from 1, columns from 0.
class Statement {
public:
    Statement(Sqlite& database, std::string_view sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(int parameter, net::ByteView blob);  ///< borrowed until the statement has run
    Statement& bind(int parameter, std::string_view text);
    Statement& bind(int parameter, std::int64_t number);
    /// The next row, or false. After false the statement can be bound and run again.
    bool step();
    void run() {
        while (step()) {
        }
    }

    net::Bytes blob(int column) const;
    std::string text(int column) const;
    std::int64_t number(int column) const;

private:
    Sqlite& database_;
    sqlite3_stmt* handle_ = nullptr;
};

}  // namespace meshd
