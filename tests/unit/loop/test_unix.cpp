#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "loop/line_client.hpp"
#include "loop/timer.hpp"
#include "loop/unix_listener.hpp"

using namespace std::chrono_literals;
using Catch::Contains;

namespace {

/// A folder of its own that goes with the test.
struct Folder {
    Folder() {
        char name[] = "/tmp/meshd-unit-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string operator/(const char* name) const { return path + "/" + name; }
    std::string path;
};

/// A server that answers each line with "<line>!" until "stop"; on the thread that calls run().
struct Echo {
    explicit Echo(const std::string& path, const loop::UnixListener::Options& options = {})
        : listener(loop, path, options, [this](auto connection) { accept(std::move(connection)); }) {
        watchdog.after(10s);
    }
    void accept(std::unique_ptr<loop::LineConnection> connection) {
        last = connection->credentials();
        auto* const raw = connection.get();
        connections.push_back(std::move(connection));
        raw->start(
            [this, raw](std::string_view line) {
                if (line == "stop") return loop.stop();
                if (line == "bye") {
                    raw->send_line("last");
                    return raw->close_when_drained();
                }
                raw->send_line(std::string(line) + "!");
            },
            [this, raw] {
                std::erase_if(connections, [raw](const auto& held) { return held.get() == raw; });
                ++ended;
            });
    }
    loop::Loop loop;
    loop::Timer watchdog{loop, [] { throw std::runtime_error("nothing came within 10 s"); }};
    std::vector<std::unique_ptr<loop::LineConnection>> connections;
    loop::Credentials last;
    int ended = 0;
    loop::UnixListener listener;
};

}  // namespace

TEST_CASE("lines are cut whatever pieces they come in") {
    loop::Lines lines(10);
    CHECK_FALSE(lines.next());
    lines.add(net::as_bytes("one\ntw"));
    CHECK(lines.next() == "one");
    CHECK_FALSE(lines.next());
    lines.add(net::as_bytes("o\r\n\nthree\n"));
    CHECK(lines.next() == "two");
    CHECK(lines.next() == "");
    CHECK(lines.next() == "three");
    CHECK_FALSE(lines.next());
    lines.add(net::as_bytes("0123456789"));
    CHECK_FALSE(lines.next());
    CHECK_FALSE(lines.overlong());
    lines.add(net::as_bytes("x"));
    CHECK_FALSE(lines.next());
    CHECK(lines.overlong());
    lines.add(net::as_bytes("\nfour\n"));
    CHECK_FALSE(lines.next());
}

TEST_CASE("a client asks a UNIX socket and is answered; the server knows who asked") {
    const Folder folder;
    Echo server(folder / "s");
    std::vector<std::string> answers;
    std::thread client([&] {
        auto connection = loop::LineClient::connect(folder / "s");
        if (!connection) return;
        for (const auto* question : {"one", "two"}) {
            if (!connection->send_line(question)) return;
            if (const auto line = connection->receive_line(5s); line && *line) answers.push_back(**line);
        }
        const auto nothing = connection->receive_line(1ms);
        if (nothing && !*nothing) answers.push_back("nothing yet");
        if (!connection->send_line("bye")) return;
        if (const auto line = connection->receive_line(5s); line && *line) answers.push_back(**line);
        if (const auto line = connection->receive_line(5s); !line) answers.push_back(line.error().message);
        auto another = loop::LineClient::connect(folder / "s");
        if (another && !another->send_line("stop")) answers.push_back("cannot stop");
    });
    server.loop.run();
    client.join();
    CHECK(answers == std::vector<std::string>{"one!", "two!", "nothing yet", "last",
                                              "meshd closed the connection before it answered"});
    CHECK(server.last.user_id == ::getuid());
    CHECK(server.last.process_id == ::getpid());
    CHECK(server.ended == 1);
}

TEST_CASE("the socket file has the mode asked for and goes with the listener") {
    const Folder folder;
    {
        const Echo server(folder / "s", {.mode = 0600});
        struct stat status {};
        REQUIRE(::stat((folder / "s").c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0600);
    }
    CHECK_FALSE(std::filesystem::exists(folder / "s"));
}

TEST_CASE("a stale socket file is replaced; a live one or another kind of file is not") {
    const Folder folder;
    {
        const Echo first(folder / "s");
        CHECK_THROWS_WITH(Echo(folder / "s"), Contains("another process listens"));
        std::filesystem::rename(folder / "s", folder / "kept");
    }
    std::filesystem::rename(folder / "kept", folder / "s");  // nobody listens any more
    { const Echo second(folder / "s"); }
    CHECK_FALSE(std::filesystem::exists(folder / "s"));
    { std::ofstream(folder / "s") << "precious"; }
    CHECK_THROWS_WITH(Echo(folder / "s"), Contains("another kind"));
    CHECK(std::filesystem::file_size(folder / "s") == 8);
    CHECK_THROWS_WITH(Echo(folder / "missing/s"), Contains("folder does not exist"));
    CHECK_THROWS_WITH(Echo(std::string(200, 'x')), Contains("107 bytes"));
}

TEST_CASE("an over-long line ends the connection, and no more are accepted than allowed") {
    const Folder folder;
    Echo server(folder / "s", {.longest_line_bytes = 100, .connections = 2});
    bool cut = false, refused = false;
    std::thread client([&] {
        auto first = loop::LineClient::connect(folder / "s");
        auto second = loop::LineClient::connect(folder / "s");
        if (second->send_line("here") && !second->receive_line(5s)) return;
        auto third = loop::LineClient::connect(folder / "s");
        refused = !third->receive_line(5s);
        if (first->send_line(std::string(1000, 'x'))) cut = !first->receive_line(5s);
        if (!second->send_line("stop")) return;
    });
    server.loop.run();
    client.join();
    CHECK(refused);
    CHECK(cut);
    CHECK(server.ended == 1);
}

TEST_CASE("a client that finds no server is told what to do") {
    const Folder folder;
    CHECK_THAT(loop::LineClient::connect(folder / "s").error().message, Contains("is meshd running?"));
}
