#include <unistd.h>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "loop/line_client.hpp"
#include "meshd/control.hpp"
#include "meshd/control_socket.hpp"
#include "scratch.hpp"

using Catch::Matchers::Contains;
using meshd::Access;
using meshd::Answer;
using meshd::CallRefused;
using meshd::ControlSession;
using meshd::Params;
using nlohmann::json;

namespace {

constexpr std::uint32_t kDaemon = 990;
constexpr loop::Credentials kSomebody{.user_id = 1000, .group_id = 1000, .process_id = 1};

struct Fixture {
    meshd::Methods methods;
    std::optional<Answer> held;
    std::vector<json> sent;
    std::optional<ControlSession> session;

    explicit Fixture(loop::Credentials caller = kSomebody) {
        methods.add("status", Access::read, {}, [](const Params&, const loop::Credentials&, Answer& answer) {
            answer.result({{"fine", true}});
        });
        methods.add("echo", Access::read, {"name", "subnets", "admin", "expires_s"},
                    [](const Params& params, const loop::Credentials& who, Answer& answer) {
                        answer.result({{"name", params.text("name")},
                                       {"subnets", params.texts("subnets")},
                                       {"admin", params.flag("admin")},
                                       {"expires_s", params.number_or("expires_s", 86400, 60, 1000000)},
                                       {"caller", who.user_id}});
                    });
        methods.add("join", Access::change, {"token"},
                    [this](const Params&, const loop::Credentials&, Answer& answer) { held = std::move(answer); });
        methods.add("refuse", Access::read, {}, [](const Params&, const loop::Credentials&, Answer&) {
            throw CallRefused("no mesh yet", "run meshctl init or meshctl join");
        });
        methods.add("break", Access::read, {},
                    [](const Params&, const loop::Credentials&, Answer&) { throw std::logic_error("oops"); });
        methods.add("forget", Access::read, {}, [](const Params&, const loop::Credentials&, Answer&) {});
        methods.add("dirty", Access::read, {}, [](const Params&, const loop::Credentials&, Answer& answer) {
            answer.result({{"aor", "bob\xff@acme.example"}});
        });
        session.emplace(methods, caller, kDaemon, [this](std::string_view line) {
            CHECK(line.find('\n') == std::string_view::npos);
            sent.push_back(json::parse(line));
        });
    }

    json ask(const std::string& line) {
        sent.clear();
        session->receive(line);
        REQUIRE(sent.size() == 1);
        CHECK(sent[0]["jsonrpc"] == "2.0");
        return sent[0];
    }
    json call(const std::string& method, const json& params = json::object()) {
        return ask(json{{"jsonrpc", "2.0"}, {"id", 7}, {"method", method}, {"params", params}}.dump());
    }
    int error_of(const std::string& line) { return ask(line)["error"]["code"]; }
};

}  // namespace

TEST_CASE("a call is answered with its id") {
    Fixture fixture;
    CHECK(fixture.call("status") == json::parse(R"({"jsonrpc":"2.0","id":7,"result":{"fine":true}})"));
    CHECK(fixture.ask(R"({"jsonrpc":"2.0","id":"a","method":"status"})")["id"] == "a");
}

TEST_CASE("a notification is run and not answered") {
    Fixture fixture;
    fixture.session->receive(R"({"jsonrpc":"2.0","method":"status"})");
    fixture.session->receive(R"({"jsonrpc":"2.0","method":"refuse"})");
    fixture.session->receive(R"({"jsonrpc":"2.0","method":"nothing"})");
    CHECK(fixture.sent.empty());
}

TEST_CASE("parameters are read as what they must be") {
    Fixture fixture;
    const auto reply = fixture.call("echo", {{"name", "munich"}, {"subnets", {"10.1.0.0/24"}}, {"admin", true}});
    CHECK(reply["result"] ==
          json::parse(R"({"name":"munich","subnets":["10.1.0.0/24"],"admin":true,"expires_s":86400,"caller":1000})"));
    const auto refused = [&](json params, const char* what) {
        const auto error = fixture.call("echo", params)["error"];
        CHECK(error["code"] == -32602);
        CHECK_THAT(error["message"].get<std::string>(), Contains(what));
    };
    refused({{"subnets", {"x"}}}, "\"name\" is missing");
    refused({{"name", ""}}, "\"name\" is missing");
    refused({{"name", 3}}, "\"name\" must be a text");
    refused({{"name", "a"}, {"subnets", "x"}}, "\"subnets\" must be a list of texts");
    refused({{"name", "a"}, {"subnets", {1}}}, "\"subnets\" must be a list of texts");
    refused({{"name", "a"}, {"admin", 1}}, "\"admin\" must be true or false");
    refused({{"name", "a"}, {"expires_s", 1}}, "\"expires_s\" must be a number from 60 to 1000000");
    refused({{"name", "a"}, {"expires_s", 1.5}}, "must be a number from");
    refused({{"name", "a"}, {"expires_s", UINT64_MAX}}, "must be a number from");
    refused({{"name", "a"}, {"nmae", "b"}}, "\"echo\" has no parameter \"nmae\"");
    refused(json::array({"munich"}), "\"params\" must be an object");
}

TEST_CASE("what is no request gets JSON-RPC's error and the connection goes on") {
    Fixture fixture;
    CHECK(fixture.error_of("{") == -32700);
    CHECK(fixture.error_of("") == -32700);
    CHECK(fixture.error_of("{} {}") == -32700);
    CHECK(fixture.error_of(std::string(100000, '[')) == -32700);
    CHECK(fixture.error_of("[]") == -32600);
    CHECK(fixture.error_of("7") == -32600);
    CHECK(fixture.error_of(R"({"id":1,"method":"status"})") == -32600);
    CHECK(fixture.error_of(R"({"jsonrpc":"1.0","id":1,"method":"status"})") == -32600);
    CHECK(fixture.error_of(R"({"jsonrpc":"2.0","id":1})") == -32600);
    CHECK(fixture.error_of(R"({"jsonrpc":"2.0","id":1,"method":5})") == -32600);
    CHECK(fixture.error_of(R"({"jsonrpc":"2.0","id":{},"method":"status"})") == -32600);
    CHECK(fixture.error_of(R"({"jsonrpc":"2.0","id":1,"method":"reboot"})") == -32601);
    CHECK(fixture.sent[0]["id"] == 1);
    CHECK(fixture.call("status").contains("result"));
}

TEST_CASE("brackets inside of texts are no nesting") {
    Fixture fixture;
    CHECK(fixture.call("echo", {{"name", std::string(200, '[') + "\"\\{" + std::string(50, '{')}}).contains("result"));
}

TEST_CASE("a refusal carries its reason and what to do next") {
    Fixture fixture;
    CHECK(fixture.call("refuse")["error"] ==
          json::parse(R"({"code":-32000,"message":"no mesh yet","data":{"hint":"run meshctl init or meshctl join"}})"));
    CHECK(fixture.call("break")["error"]["code"] == -32603);
    CHECK(fixture.call("forget")["error"]["code"] == -32603);
}

TEST_CASE("only root and the daemon's own user may change anything") {
    Fixture somebody;
    const auto error = somebody.call("join", {{"token", "t"}})["error"];
    CHECK(error["code"] == -32001);
    CHECK(error["data"]["hint"] == "run it again with sudo");
    CHECK_FALSE(somebody.held);
    CHECK(somebody.call("status").contains("result"));
    for (const std::uint32_t user : {0U, kDaemon}) {
        Fixture allowed({.user_id = user, .group_id = 0, .process_id = 1});
        allowed.session->receive(R"({"jsonrpc":"2.0","id":1,"method":"join","params":{"token":"t"}})");
        CHECK(allowed.held);
    }
}

TEST_CASE("an answer may come later, with progress before it") {
    Fixture fixture({.user_id = 0, .group_id = 0, .process_id = 1});
    fixture.session->receive(R"({"jsonrpc":"2.0","id":9,"method":"join","params":{"token":"t"}})");
    CHECK(fixture.sent.empty());
    REQUIRE(fixture.held);
    fixture.held->progress("asking 198.51.100.7:51820");
    CHECK(fixture.call("status").contains("result"));
    fixture.sent.clear();
    fixture.held->progress("asking 198.51.100.8:51820");
    fixture.held->result("done");
    fixture.held->result("twice");
    fixture.held.reset();
    REQUIRE(fixture.sent.size() == 2);
    CHECK(fixture.sent[0] ==
          json::parse(
              R"({"jsonrpc":"2.0","method":"progress","params":{"id":9,"message":"asking 198.51.100.8:51820"}})"));
    CHECK(fixture.sent[1] == json::parse(R"({"jsonrpc":"2.0","id":9,"result":"done"})"));
}

TEST_CASE("an answer to a connection that has gone goes nowhere") {
    Fixture fixture({.user_id = 0, .group_id = 0, .process_id = 1});
    fixture.session->receive(R"({"jsonrpc":"2.0","id":9,"method":"join","params":{"token":"t"}})");
    CHECK(fixture.held->is_wanted());
    fixture.session.reset();
    CHECK_FALSE(fixture.held->is_wanted());
    fixture.held->progress("x");
    fixture.held->result("done");
    CHECK(fixture.sent.empty());
}

TEST_CASE("open calls of one connection are bounded") {
    Fixture fixture({.user_id = 0, .group_id = 0, .process_id = 1});
    std::vector<Answer> answers;
    fixture.methods.add("hold", Access::read, {}, [&](const Params&, const loop::Credentials&, Answer& answer) {
        answers.push_back(std::move(answer));
    });
    for (unsigned i = 0; i < ControlSession::kMaxOpenCalls; ++i) {
        fixture.session->receive(R"({"jsonrpc":"2.0","id":1,"method":"hold"})");
    }
    CHECK(answers.size() == ControlSession::kMaxOpenCalls);
    CHECK(fixture.call("status")["error"]["code"] == -32600);
    answers.pop_back();
    CHECK(fixture.call("status").contains("result"));
}

TEST_CASE("an answer is UTF-8 whatever is in it") {
    Fixture fixture;
    CHECK(fixture.call("dirty")["result"]["aor"] == "bob\xef\xbf\xbd@acme.example");
}

TEST_CASE("the socket answers a line with a line, to several at once, and cuts off who sends too much") {
    const Scratch scratch;
    const auto path = scratch.path("control.sock");
    meshd::Methods methods;
    methods.add("status", Access::read, {}, [](const Params&, const loop::Credentials& caller, Answer& answer) {
        answer.result({{"pid", caller.process_id}});
    });
    methods.add("change", Access::change, {},
                [](const Params&, const loop::Credentials&, Answer& answer) { answer.result(true); });
    loop::Loop loop;
    const meshd::ControlSocket socket(loop, path, methods);
    const std::string ask = R"({"jsonrpc":"2.0","id":1,"method":"status"})";
    std::string first, second, change;
    bool cut_off = false;
    std::thread clients([&] {
        auto a = *loop::LineClient::connect(path), b = *loop::LineClient::connect(path);
        const auto reply = [](loop::LineClient& client, const std::string& line) {
            const auto sent = client.send_line(line);
            const auto answer = client.receive_line(std::chrono::seconds(20));
            return sent && answer && *answer ? **answer : "nothing";
        };
        first = reply(a, ask);
        second = reply(b, ask);
        change = reply(a, R"({"jsonrpc":"2.0","id":1,"method":"change"})");
        const auto sent = b.send_line(std::string(3 << 20, ' '));
        cut_off = !sent || !b.receive_line(std::chrono::seconds(20));
        loop.post([&] { loop.stop(); });
    });
    loop.run();
    clients.join();
    CHECK(json::parse(first)["result"]["pid"] == getpid());
    CHECK(json::parse(second)["result"]["pid"] == getpid());
    CHECK(json::parse(change)["result"] == true);
    CHECK(cut_off);
}
