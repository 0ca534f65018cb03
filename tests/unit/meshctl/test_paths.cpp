// What people see of ways: peers that are reached through others, why, and netcheck.
#include <catch2/catch.hpp>
#include <sstream>

#include "meshctl/app.hpp"
#include "meshctl/paragraph.hpp"
#include "scripted_daemon.hpp"

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using nlohmann::json;

namespace {

/// What meshctl prints when meshd says that.
std::string shown(std::vector<std::string> arguments, const json& result, json* request = nullptr) {
    ScriptedDaemon daemon(ScriptedDaemon::result(result.dump()));
    arguments.insert(arguments.end(), {"--control", daemon.socket()});
    std::ostringstream out, err;
    CHECK(meshctl::run(arguments, out, err) == 0);
    CHECK(err.str().empty());
    if (request != nullptr) *request = daemon.requests().at(0);
    return out.str();
}

std::size_t longest_line(const std::string& text) {
    std::istringstream lines(text);
    std::size_t longest = 0;
    for (std::string line; std::getline(lines, line);) longest = std::max(longest, line.size());
    return longest;
}

json relayed() {
    return json::parse(R"({"name":"bob-laptop","kind":"member","state":"session","rank":"relay","endpoint":null,"relay":"trento",
      "stream":null,"rtt_ms":24.2,"mtu":1360,"cause":"both NATs give every peer another port",
      "change":"Forward UDP port 51820 of munich's router to it and put \"advertise\": [\"203.0.113.1:51820\"] into its meshd.json.",
      "through":{"name":"trento","role":true,"rtt_ms":4.21,"standing_by":1,"shortest":true},
      "here":{"name":"munich","nat":"endpoint-dependent","udp":"works","ipv6":false,"port":51820,"seen_at":"203.0.113.1"},
      "there":{"name":"bob-laptop","nat":"endpoint-dependent","udp":"blocked","ipv6":true,"port":51820,"seen_at":null},
      "ways":[
        {"rank":"relay","endpoint":null,"relay":"trento","stream":null,"source":"relay","found":null,"used":true,"asked":false,
         "tried_s":2.1,"proven_s":2.0,"refused_s":null,"rtt_ms":24.2,"loss":0.04,"probes":30,"answers":29},
        {"rank":"relay","endpoint":null,"relay":"london","stream":null,"source":"relay","found":null,"used":false,"asked":false,
         "tried_s":4,"proven_s":70,"refused_s":4,"rtt_ms":60,"loss":null,"probes":3,"answers":2},
        {"rank":"stream","endpoint":null,"relay":null,"stream":"203.0.113.9:443","source":"stream","found":null,"used":false,"asked":false,
         "tried_s":1,"proven_s":4,"refused_s":null,"rtt_ms":31,"loss":0,"probes":9,"answers":9},
        {"rank":"punched","endpoint":"203.0.113.77:40001","relay":null,"stream":null,"source":"gossip","found":"seen","used":false,
         "asked":false,"tried_s":3,"proven_s":null,"refused_s":null,"rtt_ms":null,"loss":1,"probes":16,"answers":0},
        {"rank":"lan","endpoint":"192.168.1.10:51820","relay":null,"stream":null,"source":"mdns","found":null,"used":false,
         "asked":false,"tried_s":null,"proven_s":null,"refused_s":null,"rtt_ms":null,"loss":null,"probes":0,"answers":0}],
      "moves":[{"ago_s":300,"why":"it came up there","endpoint":null,"relay":null,"stream":null},
               {"ago_s":12,"why":"the way before was silent","endpoint":null,"relay":"trento","stream":null}],
      "attempts":0,"next_attempt_s":null})");
}

}  // namespace

TEST_CASE("a peer that is reached through another or on a stream is shown so, in peers and in status") {
    const auto list = json::parse(R"({"peers":[
      {"name":"london","addresses":["10.77.0.3"],"state":"session","rank":"relay","relay":"trento","stream":null,"endpoint":null,"rtt_ms":24},
      {"name":"munich","addresses":["10.77.0.2"],"state":"session","rank":"stream","relay":null,"stream":"203.0.113.9:443","endpoint":null,"rtt_ms":31},
      {"name":"paris","addresses":["10.77.0.4"],"state":"session","rank":"punched","relay":null,"stream":null,"endpoint":"198.51.100.7:40001","rtt_ms":9}]})");
    const auto peers = shown({"peers"}, list);
    CHECK_THAT(peers, Contains("london  10.77.0.3  session  relay trento         relay        "));
    CHECK_THAT(peers, Contains("munich  10.77.0.2  session  tls 203.0.113.9:443  TLS          "));
    CHECK_THAT(peers, Contains("paris   10.77.0.4  session  198.51.100.7:40001   through NAT  "));
    json status = {{"mesh", {{"name", "acme"}}}, {"peers", list["peers"]}};
    CHECK_THAT(shown({"status"}, status), Contains("london  10.77.0.3  session  relay trento ") && Contains("tls 203.0.113.9:443"));
}

TEST_CASE("why begins with the answer, and what to change, and then shows every way with what came of it") {
    json request;
    const auto text = shown({"why", "bob-laptop"}, relayed(), &request);
    CHECK(request["method"] == "why");
    CHECK(request["params"] == json{{"name", "bob-laptop"}});
    CHECK(text ==
          "bob-laptop is reached through trento (relay), 24 ms, 4 % lost: both NATs give\n"
          "  every peer another port\n"
          "\n"
          "to change  Forward UDP port 51820 of munich's router to it and put \"advertise\":\n"
          "           [\"203.0.113.1:51820\"] into its meshd.json.\n"
          "relay      trento, 4.2 ms from here: the shortest way of 2 that answer\n"
          "here       munich, a NAT that gives every peer another port (endpoint-dependent,\n"
          "           \"symmetric\"); seen at 203.0.113.1\n"
          "there      bob-laptop, a NAT that gives every peer another port\n"
          "           (endpoint-dependent, \"symmetric\"); UDP is blocked; has IPv6\n"
          "\n"
          "way                  known by      tried    result\n"
          "relay trento         -             2 s ago  used, proven, 24 ms, 4 % lost\n"
          "relay london         -             4 s ago  says that it has no session\n"
          "tls 203.0.113.9:443  -             1 s ago  proven 4 s ago, 31 ms, 0 % lost\n"
          "203.0.113.77:40001   gossip, seen  3 s ago  no answer to 16 probes\n"
          "192.168.1.10:51820   mdns          never    -\n"
          "\n"
          "moved      to                  because\n"
          "12 s ago   relay trento        the way before was silent\n"
          "5 min ago  a way that is gone  it came up there\n");
    CHECK(longest_line(text) <= 80);
}

TEST_CASE("why of a relay without the role, alone or not quite the nearest, says so") {
    auto result = relayed();
    result["through"] = {{"name", "trento"}, {"role", false}, {"rtt_ms", nullptr}, {"standing_by", 0}, {"shortest", true}};
    CHECK_THAT(shown({"why", "x"}, result), Contains("relay      trento: the only member that reaches both; it has not the role of a\n           relay, and passes on 4 kB/s at most\n"));
    result["through"] = {{"name", "trento"}, {"role", true}, {"rtt_ms", 5.0}, {"standing_by", 2}, {"shortest", false}};
    CHECK_THAT(shown({"why", "x"}, result), Contains("5.0 ms from here: hardly longer than the shortest way of 3\n           that answer\n"));
}

TEST_CASE("why of what is direct, by TLS, off, idle, stock or this machine is a sentence first") {
    auto result = relayed();
    result["ways"] = json::array();
    result["through"] = nullptr;
    result["cause"] = "";
    result["change"] = "Nothing: it is reached directly.";
    result["endpoint"] = "198.51.100.7:51820";
    result["relay"] = nullptr;
    result["rank"] = "punched";
    CHECK_THAT(shown({"why", "x"}, result),
               StartsWith("bob-laptop is reached directly at 198.51.100.7:51820 (through NAT), 24 ms\n\nto change  Nothing"));
    result["rank"] = "lan";
    CHECK_THAT(shown({"why", "x"}, result), Contains("(LAN), 24 ms\n"));
    result["rank"] = "stream";
    result["stream"] = "203.0.113.9:443";
    result["cause"] = "UDP does not leave the network of munich";
    CHECK_THAT(shown({"why", "x"}, result), StartsWith("bob-laptop is reached by TLS at 203.0.113.9:443, 24 ms: UDP does not leave"));
    result["state"] = "connecting";
    result["rank"] = nullptr;
    result["cause"] = "no member hears it: it is off, or cut off";
    result["attempts"] = 12;
    result["next_attempt_s"] = 4.2;
    result["ways"] = {{{"rank", "lan"}, {"endpoint", "10.0.0.3:51820"}, {"source", "gossip"}, {"found", "local"}, {"asked", true}, {"probes", 0}}};
    const auto off = shown({"why", "x"}, result);
    CHECK_THAT(off, StartsWith("bob-laptop is not reached: no member hears it: it is off, or cut off\n"));
    CHECK_THAT(off, Contains("attempts   12, the next in 5 s\n"));
    CHECK_THAT(off, Contains("10.0.0.3:51820  gossip, local  each time  no answer to handshakes\n"));
    result["state"] = "idle";
    CHECK_THAT(shown({"why", "x"}, result), StartsWith("bob-laptop has no tunnel now: "));
    CHECK(shown({"why", "x"}, {{"name", "munich"}, {"kind", "self"}}) == "munich is this machine.\n");
    CHECK(shown({"why", "x"}, {{"name", "phone"}, {"kind", "stock"}, {"endpoint", "198.51.100.8:1234"}}) ==
          "phone is a stock WireGuard peer: it is reached where its packets come from\n"
          "  (198.51.100.8:1234), and no other way is tried.\n");
}

TEST_CASE("netcheck tells in one line what works, then the facts, then what could be better") {
    const auto result = json::parse(R"({"name":"munich","local":["192.168.1.10:51820"],"told":[],
      "seen":[{"by":"trento","from":"198.51.100.1:51820","at":"203.0.113.1:40001"},{"by":"london","from":"198.51.100.2:51820","at":"203.0.113.1:40002"},
              {"by":"paris","from":"198.51.100.3:51820","at":"203.0.113.1:40001"}],
      "nat":{"ipv4":"endpoint-dependent","ipv6":"unknown"},"udp":"works",
      "members":{"direct":3,"tls":0,"relayed":1,"not_reached":1,"all":5},"streams":["203.0.113.1:443"],
      "mtus":[{"name":"trento","mtu":1420},{"name":"london","mtu":1280}],"advice":["Do this.","Or that."]})");
    CHECK(shown({"netcheck"}, result) ==
          "UDP works here: 4 of 5 members are reached, 3 directly.\n"
          "\n"
          "addresses  192.168.1.10:51820\n"
          "seen at    203.0.113.1:40001 by trento, paris; 203.0.113.1:40002 by london\n"
          "IPv4       a NAT that gives every peer another port (endpoint-dependent,\n"
          "           \"symmetric\")\n"
          "IPv6       no address that others could reach\n"
          "members    3 direct, 1 through others, 1 not reached\n"
          "TLS        listens at 203.0.113.1:443\n"
          "MTU        1280 to london\n"
          "\n"
          "better     Do this.\n"
          "           Or that.\n");
    auto other = result;
    other["port_mappings"] = json::parse(R"([
      {"method":"PCP","gateway":"192.168.1.1","local":"192.168.1.10","external":"203.0.113.1:51820","lifetime_left_s":7000,"published":true,"trouble":""},
      {"method":"UPnP","gateway":"192.168.2.1","local":"192.168.2.10","external":null,"lifetime_left_s":0,"published":false,"trouble":"no answer"}])");
    CHECK_THAT(shown({"netcheck"}, other), Contains("\nmapped     203.0.113.1:51820 by PCP at 192.168.1.1\n           none at 192.168.2.1: no answer\n"));
    other["udp"] = "blocked";
    other["members"] = {{"direct", 0}, {"tls", 1}, {"relayed", 0}, {"all", 1}};
    CHECK_THAT(shown({"netcheck"}, other), StartsWith("UDP does not leave this network: 1 of 1 member is reached, 0 directly.\n"));
    other["ipv6"] = true;
    CHECK_THAT(shown({"netcheck"}, other), Contains("\nIPv6       NAT unknown: too few members"));
    other["udp"] = "unknown";
    other["members"] = {{"not_reached", 1}, {"all", 1}};
    CHECK_THAT(shown({"netcheck"}, other), StartsWith("No member is reached.\n"));
    other["members"] = {{"all", 0}};
    CHECK_THAT(shown({"netcheck"}, other), StartsWith("There is no other member"));
}

TEST_CASE("a paragraph is broken between words, and never within one") {
    CHECK(meshctl::paragraph("a", "b c", 4) == "a   b c\n");
    const std::string word(90, 'x');
    CHECK(meshctl::paragraph("", "one " + word + " two") == "one\n  " + word + "\n  two\n");
    CHECK(meshctl::paragraph("", "\x1b[31mred") == "?[31mred\n");
}

TEST_CASE("with --json why and netcheck print the result as it came") {
    CHECK(json::parse(shown({"why", "x", "--json"}, relayed())) == relayed());
    CHECK(json::parse(shown({"netcheck", "--json"}, relayed())) == relayed());
}
