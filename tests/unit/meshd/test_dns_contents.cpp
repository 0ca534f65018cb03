#include "meshd/dns_contents.hpp"
#include "tests/unit/mesh/mesh_in_memory.hpp"

using namespace mesh;
using namespace mesh::testing;

TEST_CASE("the roster's names, offices and numbers are what DNS is told") {
    Network network(1);
    auto& trento = network.create("trento");
    auto& munich = network.invite_and_join(trento, "munich");
    InviteRequest mute;
    mute.voice = false;
    auto& printer = network.invite_and_join(trento, "printer", mute);
    REQUIRE(network.run_until([&] { return network.all_up({"trento", "munich", "printer"}); }, 10s));
    // The printer has no voice role, whatever it says.
    munich.node->set_phones({5080, 0, 5061}, network.now());
    printer.node->set_phones({5060, 5060, 0}, network.now());
    const auto said = [&](const auto& office) {
        const auto& info = trento.node->view().members.at(office.node->key()).node;
        return info && info->phones != PhonePorts{};
    };
    REQUIRE(network.run_until([&] { return said(munich) && said(printer); }, 10s));
    const auto user = [&](const std::string& aor, std::vector<std::string> numbers, std::vector<std::string> nodes = {}) {
        UserRequest request;
        request.nodes = std::move(nodes);
        request.aor = aor;
        request.numbers = std::move(numbers);
        REQUIRE(trento.node->put_user(request, network.now()));
    };
    user("alice@acme.internal", {"148", "*21"}, {"trento"});
    user("bob@acme.internal", {"+442079460149", "150"});
    user("carol@acme.internal", {"+442079460150"});
    // At munich 151 is what stands behind another number.
    user("dave@acme.internal", {"151", "+442079460152"}, {"munich"});

    meshd::DnsNaming naming;
    naming.phones_here = true;
    naming.sip_port = 5070;
    naming.suffixes = {"e164.acme.example"};
    naming.phones_reach = {*net::IpAddress::parse("192.168.1.1")};
    voice::DialPlanSettings plan;
    plan.country = "44";
    plan.site = "442079460";
    naming.dial_plan = voice::DialPlan(plan);
    auto contents = meshd::dns_contents(*trento.node, naming, meshd::dns_numbers(*trento.node, naming), network.now());
    CHECK(contents.mesh == "acme.internal");
    CHECK(contents.self == "trento");
    CHECK(contents.voice_domain == "acme.internal");
    CHECK(contents.is_office);
    CHECK(contents.offices == std::vector<dns::Contents::Office>{{"munich", 5080, 0, 5061}});
    CHECK(contents.sip_port == 5070);
    CHECK(contents.phones_reach == naming.phones_reach);
    CHECK(contents.number_suffixes == naming.suffixes);
    std::set<std::string> hosts;
    for (const auto& host : contents.hosts) {
        hosts.insert(host.label);
        CHECK(host.addresses.size() == 2);
        for (const auto& address : host.addresses) {
            CHECK(std::any_of(contents.networks.begin(), contents.networks.end(), [&](const auto& n) { return n.contains(address); }));
        }
    }
    CHECK(hosts == std::set<std::string>{"munich", "printer", "trento"});
    // 150 is bob's extension, but the whole number is carol's.
    CHECK(*contents.numbers == dns::Numbers{{"442079460148", "alice@acme.internal"},
                                            {"442079460149", "bob@acme.internal"},
                                            {"442079460150", "carol@acme.internal"},
                                            {"442079460152", "dave@acme.internal"}});
    const dns::Zones zones(contents);
    CHECK(&zones.numbers() == contents.numbers.get());  // which are made once, and never copied

    munich.node->set_phones({}, network.now());
    REQUIRE(network.run_until([&] { return !said(munich); }, 10s));
    contents = meshd::dns_contents(*trento.node, naming, contents.numbers, network.now());
    CHECK(contents.offices.empty());  // it is up, but phones may not come, or it is of an earlier version

    naming.phones_here = false;
    naming.voice_domain = "acme.example";
    const auto key = munich.node->key();
    munich.node->leave(network.now());
    network.drain(munich);
    network.crash(munich);
    REQUIRE(network.run_until([&] { return !trento.node->is_up(key); }, 10s));
    contents = meshd::dns_contents(*trento.node, naming, meshd::dns_numbers(*trento.node, naming), network.now());
    CHECK_FALSE(contents.is_office);
    CHECK(contents.voice_domain == "acme.example");
    CHECK(contents.offices.empty());
    CHECK(contents.hosts.size() == 3);
}
