#include <catch2/catch.hpp>

#include "meshctl/request.hpp"
#include "meshctl/table.hpp"
#include "meshctl/units.hpp"
#include "meshctl/value.hpp"
#include "meshctl/waiting.hpp"

using meshctl::Cell;
using meshctl::Colour;
using meshctl::Table;

TEST_CASE("columns are aligned by what is seen, and one that says nothing is left out") {
    Table table({{"peer"}, {"sent", Table::Align::right}, {"subnets"}, {"state"}});
    table.add({"münchen", "1.2 MB", "", "session"});
    table.add({"rome", "7 B", "", ""});
    CHECK(table.text(false) ==
          "peer       sent  state\n"
          "münchen  1.2 MB  session\n"
          "rome        7 B  -\n");
}

TEST_CASE("colours do not move columns, and are there only where they are wanted") {
    Table table({{"a"}, {"b"}});
    table.add({{"x", Colour::good}, "1"});
    table.add({"long", "2"});
    CHECK(table.text(true).find("\033[32mx\033[0m     1") != std::string::npos);
    CHECK(table.text(false).find('\033') == std::string::npos);
}

TEST_CASE("what comes from other machines cannot drive the terminal") {
    CHECK(meshctl::printable("bob\033[2J\r\n\x7f") == "bob?[2J???");
    CHECK(meshctl::printable("\xc2\x9b"
                             "2J \xff\xc3 \xe2\x82\xac") == "?2J ?? \xe2\x82\xac");
    CHECK(meshctl::printable("\xc0\xaf \xe2\x82") == "?? ??");
    CHECK(Cell("\033[31m").text == "?[31m");
}

TEST_CASE("figures are shown as people read them") {
    CHECK(meshctl::duration(0) == "0 s");
    CHECK(meshctl::duration(119.9) == "119 s");
    CHECK(meshctl::duration(120) == "2 min");
    CHECK(meshctl::duration(7199) == "119 min");
    CHECK(meshctl::duration(7200) == "2 h");
    CHECK(meshctl::duration(3 * 86400.0) == "3 d");
    CHECK(meshctl::duration(-5) == "0 s");
    CHECK(meshctl::ago(3.0) == "3 s ago");
    CHECK(meshctl::ago(std::nullopt) == "never");
    CHECK(meshctl::bytes(0.0) == "0 B");
    CHECK(meshctl::bytes(999.0) == "999 B");
    CHECK(meshctl::bytes(1234567.0) == "1.2 MB");
    CHECK(meshctl::bytes(999960.0) == "1.0 MB");
    CHECK(meshctl::bytes(123456789012.0) == "123 GB");
    CHECK(meshctl::bytes(std::nullopt).empty());
    CHECK(meshctl::milliseconds(0.417) == "0.42 ms");
    CHECK(meshctl::milliseconds(4.17) == "4.2 ms");
    CHECK(meshctl::milliseconds(41.7) == "42 ms");
}

TEST_CASE("a duration is a number with its unit") {
    using namespace std::chrono_literals;
    CHECK(meshctl::parse_duration("90s") == 90s);
    CHECK(meshctl::parse_duration("30m") == 30min);
    CHECK(meshctl::parse_duration("24h") == 24h);
    CHECK(meshctl::parse_duration("7d") == 168h);
    for (const auto* bad : {"", "h", "24", "0s", "-1h", "1.5h", "24H", "99999d", "1h30m", "99999999999999999999s"}) {
        INFO(bad);
        CHECK_FALSE(meshctl::parse_duration(bad));
    }
}

TEST_CASE("a request is JSON whatever is in it") {
    meshctl::Request request("invite");
    request.set("name", "a\"b\\c\n\x01ü").set("subnets", std::vector<std::string>{"x", "y\t"}).set("pool", "");
    request.set("none", std::vector<std::string>()).set_flag("admin", true).set_number("expires_s", 86400);
    CHECK(request.line() == R"({"jsonrpc":"2.0","id":1,"method":"invite","params":{"name":"a\"b\\c\u000a\u0001ü",)"
                            R"("subnets":["x","y\u0009"],"admin":true,"expires_s":86400}})");
    CHECK(meshctl::Value::parse(request.line()));
    meshctl::Request bare("peers");
    CHECK(bare.line() == R"({"jsonrpc":"2.0","id":1,"method":"peers","params":{}})");
}

TEST_CASE("a value that is not there, or another kind, is null") {
    const auto value = *meshctl::Value::parse(R"({"a":{"b":["x","y"]},"n":3.5,"t":true})");
    CHECK(value["a"]["b"].joined("+") == "x+y");
    CHECK(value["n"].number() == 3.5);
    CHECK(value["t"].flag());
    CHECK(value["nothing"]["at"]["all"].is_null());
    CHECK(value["n"].text().empty());
    CHECK_FALSE(value["a"].number());
    CHECK(value["n"].elements().empty());
    CHECK_FALSE(meshctl::Value::parse("{"));
}

TEST_CASE("a command that takes longer than a second shows what it waits for") {
    using namespace std::chrono_literals;
    const net::Steady start{};
    meshctl::Waiting pipe(start, false);
    pipe.set("waiting for munich");
    CHECK(pipe.show(start + 900ms).empty());
    CHECK(pipe.show(start + 1s) == "waiting for munich\n");
    CHECK(pipe.show(start + 2s).empty());
    pipe.set("asking rome");
    CHECK(pipe.show(start + 3s) == "asking rome\n");
    CHECK(pipe.clear().empty());

    meshctl::Waiting terminal(start, true);
    CHECK(terminal.clear().empty());
    CHECK(terminal.show(start + 1s) == "\r\033[Kwaiting for meshd's answer (1 s)");
    CHECK(terminal.show(start + 2s) == "\r\033[Kwaiting for meshd's answer (2 s)");
    CHECK(terminal.clear() == "\r\033[K");
}
