#include <unistd.h>
#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "meshctl/app.hpp"
#include "scripted_daemon.hpp"

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using nlohmann::json;

namespace {

struct Outcome {
    int code;
    std::string out, err;
};

Outcome meshctl_run(std::vector<std::string> arguments) {
    std::ostringstream out, err;
    const int code = meshctl::run(arguments, out, err);
    return {code, out.str(), err.str()};
}

Outcome meshctl_run(const ScriptedDaemon& daemon, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--control", daemon.socket()});
    return meshctl_run(arguments);
}

/// Runs a command against a result; gives what was asked.
json asked(std::vector<std::string> arguments, const std::string& result, Outcome* outcome = nullptr) {
    ScriptedDaemon daemon(ScriptedDaemon::result(result));
    const auto ran = meshctl_run(daemon, std::move(arguments));
    CHECK(ran.code == 0);
    if (outcome != nullptr) *outcome = ran;
    REQUIRE(daemon.requests().size() == 1);
    auto request = daemon.requests()[0];
    CHECK(request["jsonrpc"] == "2.0");
    return {{"method", request["method"]}, {"params", request["params"]}};
}

struct TemporaryFile {
    char path[32] = "/tmp/meshctl-file-XXXXXX";
    explicit TemporaryFile(const std::string& content) {
        close(mkstemp(path));
        std::ofstream(path) << content;
    }
    ~TemporaryFile() { unlink(path); }
};

constexpr const char* kPeers = R"({"peers":[
  {"name":"munich","key":"k","addresses":["10.77.0.2","fd12::2"],"state":"session","endpoint":"198.51.100.7:51820",
   "last_handshake_s":3,"rx_bytes":1234567,"tx_bytes":10,"rtt_ms":12.34,"subnets":["192.168.2.0/24"],"stock":false,"via":"mdns"},
  {"name":"phone","key":"k","addresses":["10.77.0.9"],"state":"idle","endpoint":null,"last_handshake_s":null,
   "rx_bytes":0,"tx_bytes":0,"rtt_ms":null,"subnets":[],"stock":true,"via":null}]})";

}  // namespace

TEST_CASE("each command asks for what its arguments say") {
    CHECK(asked({"init", "acme", "--name", "trento", "--pool", "10.77.0.0/16", "--subnet", "192.168.1.0/24", "--subnet",
                 "fd01::/64", "--endpoint", "198.51.100.7:51820"},
                "{}") == json::parse(R"({"method":"init","params":{"mesh":"acme","name":"trento","pool":"10.77.0.0/16",
            "subnets":["192.168.1.0/24","fd01::/64"],"endpoints":["198.51.100.7:51820"]}})"));
    CHECK(asked({"invite", "munich", "--force"}, "{}") ==
          json::parse(R"({"method":"invite","params":{"name":"munich","force":true}})"));
    CHECK(asked({"invite", "munich", "--admin", "--expires", "30m"}, "{}") ==
          json::parse(R"({"method":"invite","params":{"name":"munich","admin":true,"expires_s":1800}})"));
    CHECK(asked({"revoke", "munich"}, "{}") == json::parse(R"({"method":"revoke","params":{"name":"munich"}})"));
    CHECK(asked({"stock", "phone", "--public-key", "abc="}, R"({"config":""})") ==
          json::parse(R"({"method":"stock","params":{"name":"phone","public_key":"abc="}})"));
    CHECK(
        asked({"user", "add", "bob@acme.example", "--number", "201", "--number", "+49201", "--node", "munich",
               "--no-password"},
              "{}") ==
        json::parse(
            R"({"method":"user.add","params":{"aor":"bob@acme.example","numbers":["201","+49201"],"nodes":["munich"]}})"));
    CHECK(asked({"user", "remove", "bob@acme.example"}, "{}") ==
          json::parse(R"({"method":"user.remove","params":{"aor":"bob@acme.example"}})"));
    for (const auto* bare : {"status", "peers", "members", "phones", "calls", "messages", "voice"}) {
        CHECK(asked({bare}, "{}") == json{{"method", bare}, {"params", json::object()}});
    }
    CHECK(asked({"user", "list"}, "{}")["method"] == "user.list");
    CHECK(asked({"enum", "+44-207-9460-148"}, "{}") ==
          json::parse(R"({"method":"enum","params":{"number":"+44-207-9460-148"}})"));
    CHECK(asked({"dns"}, "{}") == json::parse(R"({"method":"dns","params":{}})"));
    CHECK(asked({"dns", "a.acme.internal"}, "{}") == json::parse(R"({"method":"dns","params":{"name":"a.acme.internal"}})"));
}

TEST_CASE("a token comes from a file, and a password too, without the white space around") {
    const TemporaryFile file("  secret-token \nsecond line\n");
    CHECK(asked({"join", "--token-file", file.path}, "{}") ==
          json::parse(R"({"method":"join","params":{"token":"secret-token"}})"));
    CHECK(asked({"user", "add", "bob@a.example", "--password-file", file.path}, "{}")["params"]["password"] ==
          "secret-token");
}

TEST_CASE("a token comes from standard input where that is no terminal") {
    const TemporaryFile file("piped-token\n");
    const int before = dup(STDIN_FILENO);
    REQUIRE(std::freopen(file.path, "r", stdin) != nullptr);
    CHECK(asked({"join"}, "{}")["params"]["token"] == "piped-token");
    dup2(before, STDIN_FILENO);
    close(before);
}

TEST_CASE("a token that cannot be, or is not there, is not sent") {
    const TemporaryFile empty("\n"), endless(std::string(5000, 'x'));
    auto ran = meshctl_run({"join", "--token-file", empty.path, "--control", "/nonexistent/x"});
    CHECK(ran.code == 1);
    CHECK_THAT(ran.err, Contains("the token is empty"));
    ran = meshctl_run({"join", "--token-file", endless.path});
    CHECK(ran.code == 1);
    CHECK_THAT(ran.err, Contains("more than 4096 bytes"));
    ran = meshctl_run({"join", "--token-file", "/nonexistent/token"});
    CHECK(ran.code == 1);
    CHECK_THAT(ran.err, Contains("cannot read /nonexistent/token: No such file"));
}

TEST_CASE("a token on the command line is refused and not repeated") {
    const auto ran = meshctl_run({"join", "meshd1-secret"});
    CHECK(ran.code == 2);
    CHECK_THAT(ran.err, Contains("never an argument") && !Contains("meshd1-secret"));
}

TEST_CASE("an invitation prints the token alone, and hints beside it") {
    Outcome outcome;
    asked({"invite", "munich"}, R"({"token":"meshd1-abc","expires_s":86400})", &outcome);
    CHECK(outcome.out == "meshd1-abc\n");
    CHECK_THAT(outcome.err, Contains("meshctl join asks for it. It works once, within 24 h") && !Contains("Beware"));
    asked({"invite", "munich"}, R"({"token":"meshd1-abc","notes":["this replaces one"]})", &outcome);
    CHECK_THAT(outcome.err, Contains("Note: this replaces one."));
    CHECK(outcome.out == "meshd1-abc\n");
    asked({"invite", "munich"}, R"({"token":"meshd1-abc","expires_s":86400,"endpoints":[]})", &outcome);
    CHECK(outcome.out == "meshd1-abc\n");
    CHECK_THAT(outcome.err, Contains("Beware: it says no address"));
}

TEST_CASE("a stock peer's configuration is printed as it is") {
    Outcome outcome;
    asked({"stock", "phone"}, R"({"config":"[Interface]\nAddress = 10.77.0.9/32\n"})", &outcome);
    CHECK(outcome.out == "[Interface]\nAddress = 10.77.0.9/32\n");
    CHECK_THAT(outcome.err, Contains("holds the private key"));
}

TEST_CASE("peers are a table for people") {
    Outcome outcome;
    asked({"peers"}, kPeers, &outcome);
    CHECK(outcome.out ==
          "peer    addresses          state    endpoint            via   handshake  round trip  received  sent  "
          "subnets         kind\n"
          "munich  10.77.0.2 fd12::2  session  198.51.100.7:51820  mdns    3 s ago       12 ms    1.2 MB  10 B  "
          "192.168.2.0/24  -\n"
          "phone   10.77.0.9          idle     -                   -             -           -       0 B   0 B  -      "
          "         stock WireGuard\n");
}

TEST_CASE("with --json every command prints the result as it came, before or behind the command's name") {
    for (const auto* name : {"init x", "invite x", "revoke x", "status", "peers", "members", "stock x", "user add x",
                             "user list", "user remove x", "phones", "calls", "messages", "voice",
                             "enum x", "dns", "dns x", "data"}) {
        INFO(name);
        std::istringstream words(name);
        std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
        if (arguments.back() == "x" && arguments[0] == "user" && arguments[1] == "add")
            arguments.push_back("--no-password");
        arguments.push_back("--json");
        Outcome outcome;
        asked(arguments, kPeers, &outcome);
        CHECK(json::parse(outcome.out) == json::parse(kPeers));
        CHECK(outcome.err.empty());
    }
    Outcome outcome;
    asked({"--json", "peers"}, kPeers, &outcome);
    CHECK(json::parse(outcome.out) == json::parse(kPeers));
}

TEST_CASE("the status says where this machine stands") {
    Outcome outcome;
    auto status = json::parse(R"({"mesh":{"name":"acme","id":"i"},
      "node":{"name":"trento","key":"k","addresses":["10.77.0.1","fd12::1"],"roles":["admin","voice"]},
      "voice":{"mode":"island","since_s":200,"why":"no answer to 10 OPTIONS","centre":"sip:203.0.113.5"},
      "counters":{"dropped_replay":3,"dropped_mac1":0}})");
    status["peers"] = json::parse(kPeers)["peers"];
    asked({"status", "--counters"}, status.dump(), &outcome);
    CHECK_THAT(outcome.out,
               StartsWith("mesh   acme\nnode   trento, 10.77.0.1, fd12::1 (admin, voice)\n"
                          "peers  1 of 2 in session\nvoice  calls go over the mesh: the central server is out "
                          "of reach, sip:203.0.113.5, for 3 min (no answer to 10 OPTIONS)\n\npeer "));
    CHECK_THAT(outcome.out, Contains("\npeer    address    state    endpoint            round trip  subnets\n"
                                     "munich  10.77.0.2  session  198.51.100.7:51820       12 ms  192.168.2.0/24\n"));
    CHECK_THAT(outcome.out, Contains("dropped_replay      3") && !Contains("dropped_mac1"));
    status["warnings"] = {"cannot write state.db: the disk is full"};
    asked({"status"}, status.dump(), &outcome);
    CHECK_THAT(outcome.out, Contains("\nbeware cannot write state.db: the disk is full\n"));
    asked({"status"}, R"({"mesh":null,"node":null,"state":"joining"})", &outcome);
    CHECK(outcome.out == "This machine is joining a mesh at this moment.\n");
    asked({"status"}, R"({"mesh":null,"node":null,"peers":[],"voice":{},"counters":{}})", &outcome);
    CHECK(outcome.out == "This machine is in no mesh yet.\n");
    CHECK_THAT(outcome.err, Contains("meshctl init") && Contains("meshctl join"));
}

TEST_CASE("of voice only what there is to tell is told") {
    Outcome outcome;
    asked({"voice"}, R"({"mode":"central","since_s":200,"why":"it answers","lamps_unremembered":12})", &outcome);
    CHECK_THAT(outcome.out, Contains("12 NOTIFYs of the central server came for lamps that there was no room to remember"));
    asked({"voice"}, R"({"mode":"central","since_s":200,"why":"it answers","lamps_unremembered":0})", &outcome);
    CHECK_THAT(outcome.out, !Contains("NOTIFY"));
}

TEST_CASE("the other lists are tables too, and an empty one says what to do") {
    Outcome outcome;
    asked({"members"},
          R"({"members":[{"name":"a","key":"K","addresses":["10.1.0.1"],"subnets":[],"roles":["admin","voice"],
      "stock":false,"revoked":false},{"name":"b","key":"L","addresses":[],"subnets":[],"roles":[],"stock":true,"revoked":true}],
      "invitations":[{"name":"c","subnets":["10.9.0.0/24"],"roles":["voice"],"expires_s":7300}]})",
          &outcome);
    CHECK(outcome.out ==
          "member  addresses  subnets      roles        kind             standing          key\n"
          "a       10.1.0.1   -            admin,voice  node             good              K\n"
          "b       -          -            -            stock WireGuard  revoked           L\n"
          "c       -          10.9.0.0/24  voice        -                invited, for 2 h  -\n");
    asked(
        {"phones"},
        R"({"phones":[{"aor":"bob@a","contact":"sip:bob@192.168.1.9:5060","expires_s":100,"local":true,"node":"a"}]})",
        &outcome);
    CHECK(outcome.out ==
          "user   where  contact                   expires in\nbob@a  here   sip:bob@192.168.1.9:5060       100 s\n");
    asked({"messages"}, R"({"messages":[{"aor":"bob@acme.example","count":2,"oldest_s":61}]})",
          &outcome);
    CHECK(outcome.out == "for               messages  oldest\nbob@acme.example         2    61 s\n");
    asked({"calls"},
          R"({"calls":[{"id":"x1","from":"a@a","to":"b@a","state":"confirmed","path":"mesh","since_s":61}]})",
          &outcome);
    CHECK(outcome.out == "from  to   state      path   for  id\na@a   b@a  confirmed  mesh  61 s  x1\n");
    asked({"calls"}, R"({"calls":[{"id":"x1","from":"a@a","to":"b@a","state":"up","path":"mesh","since_s":61,
      "audio":"no audio from b@a: the phone at 10.0.0.9 sends none","streams":[{"kind":"audio",
      "from_caller":{"packets":995,"lost":5,"jitter_ms":3.2},"from_callee":{"packets":0,"lost":0,"jitter_ms":0}}]}]})", &outcome);
    CHECK(outcome.out ==
          "from  to   state  path   for   lost  jitter  audio                                                id\n"
          "a@a   b@a  up     mesh  61 s  0.5 %  3.2 ms  no audio from b@a: the phone at 10.0.0.9 sends none  x1\n");
    asked({"calls"}, R"({"calls":[{"id":"x1","from":"a@a","to":"b@a","state":"up","path":"local","since_s":61,"audio":"",
      "media":"direct","not_measured":"media direct: not measured here","streams":[]}]})", &outcome);
    CHECK(outcome.out ==
          "from  to   state  path    for  audio                            id\n"
          "a@a   b@a  up     local  61 s  media direct: not measured here  x1\n");
    CHECK(asked({"calls", "--history"}, R"({"calls":[]})", &outcome)["method"] == "calls.history");
    CHECK_THAT(outcome.err, Contains("No call has gone through"));
    CHECK(asked({"calls", "--history", "--all-nodes"}, R"({"calls":[],"silent":["munich"]})", &outcome)["params"] == json{{"all_nodes", true}});
    CHECK_THAT(outcome.err, Contains("nothing was heard: munich."));
    CHECK(meshctl_run({"calls", "--all-nodes"}).code == 2);
    setenv("TZ", "UTC", 1);
    asked({"calls", "--history"}, R"({"calls":[
      {"id":"x2","from":"a@a","to":"b@a","path":"mesh","started":1700000000.5,"rang":1700000001,"answered":1700000003,
       "ended":1700000063.9,"why":"hung up by a@a","status":0,"audio":"","streams":[],"sides":[{"node":"trento","why":"hung up by a@a"},
       {"node":"munich","why":"meshd stopped"}]},
      {"id":"x1","from":"b@a","to":"a@a","path":"local","started":1699999999,"ended":null,"answered":1699999999,"why":"",
       "sides":[{"node":"trento","why":""}]}]})", &outcome);
    CHECK(outcome.out ==
          "began                from  to   path   talked  end                                       nodes          id\n"
          "2023-11-14 22:13:20  a@a   b@a  mesh     60 s  hung up by a@a; at munich: meshd stopped  trento munich  x2\n"
          "2023-11-14 22:13:19  b@a   a@a  local       -  goes on                                   trento         x1\n");
    asked({"user", "list"}, R"({"users":[{"aor":"b@a","numbers":["201"],"nodes":["any"],"password":true}]})", &outcome);
    CHECK(outcome.out == "user  numbers  nodes  password\nb@a   201      any    in the mesh\n");
    asked({"user", "list"}, R"({"users":[]})", &outcome);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains("meshctl user add"));
    asked({"revoke", "b"}, R"({"passwords_to_change":["x@a"]})", &outcome);
    CHECK_THAT(outcome.err, Contains("change them") && Contains("  x@a\n"));
}

TEST_CASE("a number's records are a table, and what a call would do is said") {
    Outcome outcome;
    asked({"enum", "+44207"}, R"({"number":"+44207","user":null,"use":"without-centre","centre":true,"stale":false,
      "domains":[{"name":"7.0.2.4.4.one.example","answer":"nothing"},{"name":"7.0.2.4.4.e164.arpa","answer":"found","stale":true,"skipped":1}],
      "records":[{"depth":0,"order":10,"preference":1,"flags":"u","services":"E2U+sip","regexp":"!x!","replacement":"","verdict":"skipped",
        "uri":"","why":"lacks a delimiter"},
        {"depth":1,"order":10,"preference":2,"flags":"u","services":"E2U+sip","regexp":"!^.*$!sip:a@b.example!","replacement":"",
        "verdict":"usable","uri":"sip:a@b.example","why":""}],
      "leads":[{"uri":"sip:a@b.example","hops":[{"transport":"UDP","at":"192.0.2.1:5060","name":"s.b.example"},
        {"transport":"TCP","at":"192.0.2.2:5060","name":""}],"why":""}]})", &outcome);
    CHECK(outcome.out ==
          "+44207\n7.0.2.4.4.one.example: nothing\n7.0.2.4.4.e164.arpa: an old answer, DNS does not answer (1 records cannot be read)\n\n"
          "order  pref  flags  services  expression              verdict  uri              because\n"
          "   10     1  u      E2U+sip   !x!                     skipped  -                lacks a delimiter\n"
          "  >10     2  u      E2U+sip   !^.*$!sip:a@b.example!  usable   sip:a@b.example  -\n\n"
          "While the central server is out of reach a call goes to sip:a@b.example by UDP at 192.0.2.1:5060 (s.b.example).\n"
          "If that fails it goes to sip:a@b.example by TCP at 192.0.2.2:5060.\n");
    asked({"enum", "201"}, R"({"number":"+44201","user":"bob@a","domains":[],"records":[],"leads":[]})", &outcome);
    CHECK_THAT(outcome.out, Contains("rings bob@a"));
    asked({"enum", "+1"}, R"({"number":"+15","user":null,"use":"always","centre":false,"domains":[],"records":[],"leads":[]})", &outcome);
    CHECK_THAT(outcome.out, Contains("A call has nowhere to go."));
}

TEST_CASE("a refusal is told with what to do next, and exits with 1") {
    ScriptedDaemon daemon(ScriptedDaemon::error(-32000, "no mesh yet", "run meshctl init or meshctl join"), 2);
    auto ran = meshctl_run(daemon, {"invite", "x"});
    CHECK(ran.code == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err == "meshctl: no mesh yet\n  run meshctl init or meshctl join\n");
    ran = meshctl_run(daemon, {"invite", "x", "--json"});
    CHECK(ran.code == 1);
    CHECK(
        json::parse(ran.out) ==
        json::parse(R"({"error":{"code":-32000,"message":"no mesh yet","hint":"run meshctl init or meshctl join"}})"));
}

TEST_CASE("what DNS is told is shown, and where it is not served") {
    Outcome outcome;
    asked({"dns"}, R"({"enabled":true,"domain":"acme.internal","zones":["acme.internal","87.10.in-addr.arpa"],
      "listen":[{"at":"10.87.0.1:53","mesh":true,"open":true,"why":""},
                {"at":"192.168.1.1:53","mesh":false,"open":false,"why":"another program has this port"}],
      "counters":{"dns_served_answered":7,"dns_served_refused":0}})", &outcome);
    CHECK(outcome.out ==
          "dns    acme.internal at 10.87.0.1:53; not at 192.168.1.1:53\nbeware another program has this port\n\n"
          "With authority for:\n  acme.internal\n  87.10.in-addr.arpa\n\ncounter              count\n"
          "dns_served_answered      7\n");
    asked({"dns"}, R"({"enabled":false})", &outcome);
    CHECK(outcome.out == "dns    off\n");
    asked({"dns", "x"}, R"({"name":"x","records":["x. 30 A 10.87.0.1"],"ours":true,"exists":true})", &outcome);
    CHECK(outcome.out == "x. 30 A 10.87.0.1\n");
    asked({"dns", "x"}, R"({"name":"x","records":[],"ours":true,"exists":false})", &outcome);
    CHECK(outcome.out == "There is no x.\n");
    asked({"dns", "x"}, R"({"name":"x","records":[],"ours":false,"exists":false})", &outcome);
    CHECK_THAT(outcome.out, Contains("x is in no zone of this node"));
    asked({"dns", "x"}, R"({"name":"x","records":[],"ours":true,"exists":true})", &outcome);
    CHECK_THAT(outcome.out, Contains("x has no records"));
}

TEST_CASE("without meshd it says how to start or find it") {
    const auto ran = meshctl_run({"status", "--control", "/nonexistent/control.sock"});
    CHECK(ran.code == 1);
    CHECK_THAT(ran.err,
               Contains("/nonexistent/control.sock") && Contains("systemctl start meshd") && Contains("--control"));
    setenv("MESHD_CONTROL", "/nonexistent/other.sock", 1);
    CHECK_THAT(meshctl_run({"status"}).err, Contains("/nonexistent/other.sock"));
    unsetenv("MESHD_CONTROL");
}

TEST_CASE("an answer that is none, or none at all, is a failure") {
    ScriptedDaemon nonsense([](const json&, const ScriptedDaemon::Send& send) { send("hello"); });
    CHECK_THAT(meshctl_run(nonsense, {"peers"}).err, Contains("cannot be understood"));
    ScriptedDaemon silent([](const json&, const ScriptedDaemon::Send&) {});
    const auto ran = meshctl_run(silent, {"peers"});
    CHECK(ran.code == 1);
    CHECK_THAT(ran.err, Contains("closed the connection"));
}

TEST_CASE("progress is no answer") {
    ScriptedDaemon daemon([](const json& request, const ScriptedDaemon::Send& send) {
        for (int i = 0; i < 3; ++i)
            send(R"({"jsonrpc":"2.0","method":"progress","params":{"id":1,"message":"asking"}})");
        ScriptedDaemon::result(R"({"mesh":{"name":"acme"},"node":{"name":"m","addresses":["10.1.0.2"]}})")(request,
                                                                                                           send);
    });
    const TemporaryFile file("token\n");
    const auto ran = meshctl_run(daemon, {"join", "--token-file", file.path});
    CHECK(ran.code == 0);
    CHECK(ran.out == "Joined the mesh acme. This node is m, 10.1.0.2.\n");
}

TEST_CASE("a wrong command line exits with 2, before meshd is asked") {
    const auto refused = [](std::vector<std::string> arguments, const char* what) {
        arguments.insert(arguments.end(), {"--control", "/nonexistent/x"});
        const auto ran = meshctl_run(arguments);
        CHECK(ran.code == 2);
        CHECK(ran.out.empty());
        CHECK_THAT(ran.err, Contains(what) && Contains("--help"));
    };
    refused({}, "a command is missing");
    refused({"frob"}, "there is no command \"frob\"");
    refused({"invite"}, "NAME is required");
    refused({"invite", "a", "b"}, "At Most 1 required");
    refused({"peers", "--bogus"}, "--bogus");
    refused({"user"}, "user needs a command");
    refused({"invite", "a", "--expires", "soon"}, "--expires must be a time");
    refused({"invite", "a", "--expires", "1s"}, "--expires must be from");
    refused({"invite", "a", "--subnet", "192.168.1.1/24"}, "--subnet must be a network");
    refused({"init", "a", "--pool", "10"}, "--pool must be a network");
    refused({"init", "a", "--endpoint", "host"}, "--endpoint must be ADDRESS:PORT");
    refused({"user", "add", "b@a", "--no-password", "--password-file", "x"}, "exclude each other");
}

TEST_CASE("help and version are done, on standard output") {
    auto ran = meshctl_run({"--version"});
    CHECK(ran.code == 0);
    CHECK_THAT(ran.out, StartsWith("meshctl "));
    ran = meshctl_run({"--help"});
    CHECK(ran.code == 0);
    CHECK_THAT(ran.out, Contains("invite") && Contains("Exit codes"));
    ran = meshctl_run({"invite", "--help"});
    CHECK(ran.code == 0);
    CHECK_THAT(ran.out, Contains("--expires TIME"));
}

TEST_CASE("the data path's switches take on or off, and say how long that lasts") {
    Outcome outcome;
    constexpr const char* kData = R"({"threads":"several","queues":{"out":3,"in":2},"voice_queue":true,"voice_queue_trouble":"","voice_socket":true,
      "tun_offloads":{"checksum":true,"tcp":true,"udp":false},"tun_joins":{"tcp":false,"udp":false},
      "udp_offloads":{"send":true,"receive":true},"aes":true,
      "dscp":"copy","longest_wait_us":{"out":1234,"voice_out":40,"in":56},"longest_wait_trouble":"",
      "uplink_rate_bit_s":9500000})";
    asked({"data"}, kData, &outcome);
    CHECK_THAT(outcome.out, Contains("TCP in large pieces: yes, UDP: no") && Contains("joined for it: TCP: no") &&
                             Contains("shaped to 9.5 Mbit/s"));
    CHECK_THAT(outcome.out, Contains("shown outside: every packet's"));
    CHECK_THAT(outcome.out, Contains("to be encrypted: 3, to be decrypted: 2"));
    CHECK_THAT(outcome.out, Contains("to be encrypted: 1.2 ms, to be decrypted: 0.1 ms"));
    CHECK(outcome.err.empty());
    std::string with_more = kData;
    with_more.insert(with_more.size() - 1, R"(,"voice_over_share":12)");
    asked({"data"}, with_more, &outcome);
    CHECK_THAT(outcome.err, Contains("12 packets that were marked as voice waited"));
    asked({"data", "--udp-offloads", "off"}, kData, &outcome);
    CHECK_THAT(outcome.err, Contains("Until meshd restarts"));
    const auto ran = meshctl_run({"data", "--udp-offloads", "no"});
    CHECK(ran.code == 2);
    CHECK_THAT(ran.err, Contains("takes on or off"));
}

TEST_CASE("a new user is told by the whole address, with what was replaced and what is missing") {
    Outcome outcome;
    asked({"user", "add", "alice", "--no-password"}, R"({"aor":"alice@acme.example","replaced":true,"centre":false})", &outcome);
    CHECK_THAT(outcome.out, Contains("alice@acme.example, changed, may have a phone now"));
    CHECK_THAT(outcome.err, Contains("this node has no central server"));
    asked({"user", "add", "bob", "--no-password"}, R"({"aor":"bob@acme.example","replaced":false,"centre":true})", &outcome);
    CHECK_THAT(outcome.out, Contains("bob@acme.example may have a phone now; its password is the central server's."));
    CHECK(outcome.err.empty());
}
