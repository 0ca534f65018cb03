#include <catch2/catch.hpp>

#include "discovery/port_mapping.hpp"

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using discovery::UpnpClient;
namespace upnp = discovery::upnp;

namespace {

const net::Endpoint kGateway{net::IpAddress::v4(192, 168, 1, 1), 1900, 0};
constexpr const char* kConnection = "urn:schemas-upnp-org:service:WANIPConnection:1";

net::ByteView wire(std::string_view text) { return net::as_bytes(text); }
std::string text(const net::Bytes& some) { return std::string(net::as_text(some)); }

std::string found_at(const std::string& location) {
    return "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLocation: " +
           location + "\r\nUSN: uuid:1::urn\r\n\r\n";
}
std::string http(const std::string& body, int status = 200) {
    return "HTTP/1.1 " + std::to_string(status) + " whatever\r\nContent-Type: text/xml\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}
std::string description(const std::string& control = "/ctl/IPConn", const std::string& base = "") {
    return "<?xml version=\"1.0\"?>\n<root xmlns=\"urn:schemas-upnp-org:device-1-0\">" + base +
           "<device><serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>"
           "<controlURL>/l3</controlURL></service></serviceList><deviceList><device><serviceList>"
           "<service>\n <serviceType> " + kConnection + " </serviceType><serviceId>x</serviceId>\n<controlURL>" + control +
           "</controlURL></service></serviceList></device></deviceList></device></root>";
}
std::string fault(int code) {
    return http("<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>" + std::to_string(code) +
                "</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>", 500);
}
std::string external_address(const std::string& is = "5.6.7.8") {
    return http("<s:Envelope><s:Body><u:GetExternalIPAddressResponse xmlns:u=\"x\"><NewExternalIPAddress>" + is +
                "</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>");
}

struct Client {
    net::SeededRandom random{3};
    net::Now now{net::Steady(1h), net::Wall(1h)};
    UpnpClient client{{kGateway.address, net::IpAddress::v4(192, 168, 1, 7), 51820}, random, now};

    void after(net::Duration time) {
        now.steady += time;
        client.tick(now);
    }
    /// The request it makes now.
    UpnpClient::Exchange asked() {
        const auto exchange = client.take_exchange();
        REQUIRE(exchange);
        return *exchange;
    }
    /// What it asks for is answered so; the request, in text.
    std::string answer(const std::string& with) {
        const auto exchange = asked();
        CHECK(client.answered(exchange.id, wire(with), false, now));
        return text(exchange.request);
    }
    void find(const std::string& location = "http://192.168.1.1:5000/rootDesc.xml") { client.receive(wire(found_at(location)), kGateway, now); }
    void map() {
        find();
        answer(http(description()));
        answer(external_address());
        answer(http("<ok/>"));
        REQUIRE(client.mapping());
    }
};

}  // namespace

TEST_CASE("a port is mapped by search, description, address and AddPortMapping") {
    Client it;
    const auto searches = it.client.take_datagrams();
    REQUIRE(searches.size() == 2);
    CHECK(searches[0].to == kGateway);
    CHECK(searches[1].to.text() == "239.255.255.250:1900");
    CHECK(text(searches[0].bytes) == "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"
                                     "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n");
    it.find();
    const auto exchange = it.asked();
    CHECK(exchange.to.text() == "192.168.1.1:5000");
    CHECK(text(exchange.request) == "GET /rootDesc.xml HTTP/1.1\r\nHost: 192.168.1.1:5000\r\nConnection: close\r\n\r\n");
    const auto whole = http(description());
    for (const std::size_t part : {std::size_t{0}, std::size_t{30}, whole.size() - 1}) {
        CHECK_FALSE(it.client.answered(exchange.id, wire(whole).first(part), false, it.now));
    }
    CHECK(it.client.answered(exchange.id, wire(whole), false, it.now));
    const auto asked = it.answer(external_address());
    CHECK_THAT(asked, Contains("POST /ctl/IPConn HTTP/1.1\r\n") && Contains("SOAPAction: \"" + std::string(kConnection) + "#GetExternalIPAddress\""));
    const auto mapped = it.answer(http("<ok/>"));
    CHECK_THAT(mapped, Contains("<NewExternalPort>51820</NewExternalPort><NewProtocol>UDP</NewProtocol><NewInternalPort>51820</NewInternalPort>"
                                "<NewInternalClient>192.168.1.7</NewInternalClient><NewEnabled>1</NewEnabled>") &&
                           Contains("<NewLeaseDuration>3600</NewLeaseDuration>"));
    const auto body = mapped.substr(mapped.find("\r\n\r\n") + 4);
    CHECK_THAT(mapped, Contains("Content-Length: " + std::to_string(body.size()) + "\r\n"));
    REQUIRE(it.client.mapping());
    CHECK(it.client.mapping()->external.text() == "5.6.7.8:51820");

    // Looked after every quarter of an hour, without a new search: another address is found out.
    it.after(15min);
    it.answer(external_address("5.6.7.9"));
    it.answer(http("<ok/>"));
    CHECK(it.client.mapping()->external.text() == "5.6.7.9:51820");
    CHECK(it.client.mapping()->until == it.now.steady + 1h);
    it.client.release(it.now);
    CHECK_THAT(it.answer(http("<ok/>")), Contains("#DeletePortMapping\"") && Contains("<NewExternalPort>51820</NewExternalPort>"));
    CHECK(it.client.released());
}

TEST_CASE("descriptions and answers come in many shapes") {
    const upnp::Url from{{kGateway.address, 5000, 0}, "/dev/root.xml"};
    CHECK(upnp::services_of(description("ctl"), from).at(0).control.path == "/dev/ctl");
    CHECK(upnp::services_of(description("/a?b=1&amp;c=2"), from).at(0).control.path == "/a?b=1&c=2");
    CHECK(upnp::services_of(description("http://192.168.1.1:80/x"), from).at(0).control.host.port == 80);
    const auto based = upnp::services_of(description("/x", "<URLBase>http://192.168.1.1:49152/</URLBase>"), from);
    CHECK(based.at(0).control.host.port == 49152);
    CHECK(upnp::services_of("<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType></service>", from).empty());
    CHECK(upnp::services_of("<service><service>", from).empty());
    const auto with_tag = [](const std::string& tag) { return "<a><" + tag + "x</service><service>y</service>"; };
    CHECK(upnp::element(with_tag("service " + std::string(247, 'a') + ">"), "service") == "x");
    CHECK(upnp::element(with_tag("service " + std::string(249, 'a') + ">"), "service") == "y");  // no tag is so long
    CHECK(upnp::element(with_tag("service <b>"), "service") == "y");                             // it is never closed
    CHECK_FALSE(upnp::element(std::string(65000, '<') + ">", "service"));
    CHECK(upnp::services_of(description("/" + std::string(1023, 'c')), from).size() == 1);
    CHECK(upnp::services_of(description("/" + std::string(1024, 'c')), from).empty());

    bool broken = false;
    const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const auto put_together = upnp::parse_http(wire(chunked + "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"), false, broken);
    REQUIRE(put_together);
    CHECK(put_together->body == "abc0123456789");
    CHECK_FALSE(upnp::parse_http(wire(chunked + "3\r\nab"), false, broken));
    CHECK_FALSE(broken);
    for (const auto& [what, ended] : {std::pair{chunked + "xyz\r\n", false}, {chunked + "3\r\nab", true}, {std::string("SSH-2.0-x\r\n\r\n"), false},
                                      {std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), true}, {std::string(9000, 'x'), false},
                                      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + std::string(9000, 'x') + "\r\n\r\n", false}}) {
        broken = false;
        CHECK_FALSE(upnp::parse_http(wire(what), ended, broken));
        CHECK(broken);
    }
    const auto until_end = upnp::parse_http(wire("HTTP/1.0 200 OK\r\n\r\nabc"), true, broken);
    REQUIRE(until_end);
    CHECK(until_end->body == "abc");
}

TEST_CASE("nobody but the gateway is spoken to, whoever answers and wherever it sends us") {
    Client it;
    it.client.receive(wire(found_at("http://192.168.1.9:80/x")), {net::IpAddress::v4(192, 168, 1, 9), 1900, 0}, it.now);
    it.find("http://192.168.1.9:80/x");
    it.find("http://gateway.example/x");
    it.find("https://192.168.1.1/x");
    CHECK_FALSE(it.client.take_exchange());
    it.find();
    it.answer(http(description("http://192.168.1.9/x")));
    CHECK_FALSE(it.client.take_exchange());
    CHECK_THAT(it.client.trouble(), Contains("maps no ports"));
    Client based;
    based.find();
    based.answer(http(description("/x", "<URLBase>http://192.168.1.9/</URLBase>")));
    CHECK_FALSE(based.client.take_exchange());
}

TEST_CASE("a gateway that gives no leases maps for good, and one whose port is taken another port") {
    Client it;
    it.find();
    it.answer(http(description()));
    it.answer(external_address());
    it.answer(fault(725));
    CHECK_THAT(it.answer(fault(718)), Contains("<NewLeaseDuration>0</NewLeaseDuration>"));
    for (int i = 0; i < 3; ++i) CHECK_THAT(it.answer(fault(718)), !Contains("<NewExternalPort>51820</NewExternalPort>"));
    const auto last = it.answer(http("<ok/>"));
    REQUIRE(it.client.mapping());
    CHECK_THAT(last, Contains("<NewExternalPort>" + std::to_string(it.client.mapping()->external.port) + "</NewExternalPort>"));
    CHECK(it.client.mapping()->external.port >= 1024);

    Client refused;
    refused.find();
    refused.answer(http(description()));
    refused.answer(external_address());
    for (int i = 0; i < 5; ++i) refused.answer(fault(718));
    CHECK_FALSE(refused.client.take_exchange());
    CHECK_THAT(refused.client.trouble(), Contains("error 718"));
}

TEST_CASE("a description that does not come as one that was found is not read") {
    Client it;
    it.find();
    it.answer(http(description(), 404));
    CHECK_FALSE(it.client.take_exchange());
    CHECK_THAT(it.client.trouble(), Contains("maps no ports"));
    Client address;
    address.find();
    address.answer(http(description()));
    address.answer("HTTP/1.1 500 no\r\n" + external_address().substr(external_address().find("Content-Type")));
    CHECK_THAT(address.client.trouble(), Contains("no connection"));
}

TEST_CASE("a service that is not connected is passed over for the next") {
    Client it;
    it.find();
    auto two = description();
    two.insert(two.find("<device>"), "<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType>"
                                     "<controlURL>/ppp</controlURL></service>");
    it.answer(http(two));
    CHECK_THAT(it.answer(external_address("0.0.0.0")), Contains("POST /ctl/IPConn "));
    CHECK_THAT(it.answer(external_address()), Contains("POST /ppp "));
    CHECK_THAT(it.answer(http("<ok/>")), Contains("POST /ppp "));
    CHECK(it.client.mapping());
}

TEST_CASE("a network without UPnP is searched three times, then ever more rarely") {
    Client it;
    std::size_t searches = it.client.take_datagrams().size();
    for (int i = 0; i < 3; ++i) it.after(1s);
    searches += it.client.take_datagrams().size();
    CHECK(searches == 6);
    CHECK_THAT(it.client.trouble(), Contains("no UPnP gateway"));
    const auto end = it.now.steady + 24h;
    while (it.client.next_deadline() < end) it.after(it.client.next_deadline() - it.now.steady);
    searches = it.client.take_datagrams().size();
    CHECK(searches >= 6 * 23);
    CHECK(searches <= 6 * 32);
}

TEST_CASE("a gateway that has begun anew at another port is searched for again at once") {
    Client it;
    it.map();
    (void)it.client.take_datagrams();
    it.after(15min);
    const auto exchange = it.asked();
    CHECK(it.client.answered(exchange.id, {}, true, it.now));
    CHECK(it.client.take_datagrams().size() == 2);
    it.find("http://192.168.1.1:6000/rootDesc.xml");
    it.answer(http(description()));
    it.answer(external_address());
    it.answer(http("<ok/>"));
    CHECK(it.client.mapping()->until == it.now.steady + 1h);
    CHECK(it.client.trouble().empty());
}

TEST_CASE("what is mapped is deleted on release, whatever the client is at, and where it was mapped") {
    const auto deleted = [](Client& it) {
        it.client.release(it.now);
        const auto request = text(it.asked().request);
        CHECK_THAT(request, Contains("POST /ctl/IPConn ") && Contains("DeletePortMapping") && Contains("<NewExternalPort>51820<"));
    };
    {
        Client searches;  // as the service did not answer any more
        searches.map();
        searches.after(15min);
        CHECK(searches.client.answered(searches.asked().id, {}, true, searches.now));
        deleted(searches);
    }
    {
        Client refused;  // the mapping stands for the rest of its hour
        refused.map();
        refused.after(15min);
        refused.answer(external_address("0.0.0.0"));
        REQUIRE(refused.client.mapping());
        deleted(refused);
    }
    {
        Client waits;  // it may be mapped although nobody has said so yet
        waits.find();
        waits.answer(http(description()));
        waits.answer(external_address());
        deleted(waits);
    }
    {
        Client permanent;  // and not renewed for longer than we call it ours
        permanent.find();
        permanent.answer(http(description()));
        permanent.answer(external_address());
        permanent.answer(fault(725));
        permanent.answer(http("<ok/>"));
        permanent.after(15min);
        permanent.answer(external_address("0.0.0.0"));
        permanent.after(46min);
        CHECK_FALSE(permanent.client.mapping());
        deleted(permanent);
    }
    {
        Client over;  // a lease that has ended may be another's by now
        over.map();
        over.after(15min);
        over.answer(external_address("0.0.0.0"));
        over.after(46min);
        over.client.release(over.now);
        CHECK(over.client.released());
    }
}

TEST_CASE("an answer that is late, endless, or of another exchange is given up") {
    Client it;
    it.find();
    const auto first = it.asked();
    CHECK(it.client.answered(first.id + 1, wire(http(description())), false, it.now));
    CHECK_FALSE(it.client.take_exchange());
    CHECK(it.client.answered(first.id, net::Bytes(UpnpClient::kLargestAnswerBytes + 1, std::byte{'x'}), false, it.now));
    CHECK_THAT(it.client.trouble(), Contains("does not answer"));

    Client in_pieces;
    in_pieces.find();
    const auto pieces = in_pieces.asked();
    std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (unsigned i = 0; i < UpnpClient::kMostPieces; ++i) CHECK_FALSE(in_pieces.client.answered(pieces.id, wire(chunks += "1\r\nx\r\n"), false, in_pieces.now));
    CHECK(in_pieces.client.answered(pieces.id, wire(chunks += "1\r\nx\r\n"), false, in_pieces.now));
    CHECK_THAT(in_pieces.client.trouble(), Contains("does not answer"));

    Client slow;
    slow.find();
    const auto asked = slow.asked();
    slow.after(5s);
    CHECK_THAT(slow.client.trouble(), Contains("does not answer"));
    CHECK(slow.client.answered(asked.id, wire(http(description())), false, slow.now));
    CHECK_FALSE(slow.client.take_exchange());

    Client stops;
    stops.map();
    stops.client.release(stops.now);
    CHECK_FALSE(stops.client.released());
    stops.after(1s);
    CHECK(stops.client.released());
    CHECK(stops.client.next_deadline() == net::kNever);
}

TEST_CASE("UPnP is tried where PCP is in vain, and only behind a private address; what PCP maps later wins") {
    net::SeededRandom random(1);
    net::Now now{net::Steady(1h), net::Wall(1h)};
    const auto settings = [](const net::IpAddress& local) { return discovery::PortMapping::Settings{{kGateway.address, 0, 0}, local, 51820, net::Bytes(32)}; };
    const net::Endpoint pcp{kGateway.address, 5351, 0};
    discovery::PortMapping open(settings(net::IpAddress::v4(5, 5, 5, 5)), random, now);
    discovery::PortMapping mapping(settings(net::IpAddress::v4(192, 168, 1, 7)), random, now);
    const auto request = mapping.take_datagrams();
    REQUIRE(request.size() == 1);
    open.unreachable(pcp, now);
    (void)open.take_datagrams();
    CHECK(open.report(now).trouble == "the gateway speaks neither PCP nor NAT-PMP");
    mapping.unreachable(pcp, now);
    CHECK(mapping.take_datagrams().size() == 2);
    mapping.receive(wire(found_at("http://192.168.1.1:5000/x")), kGateway, now);
    for (const auto& answer : {http(description()), external_address(), http("<ok/>")}) {
        const auto exchange = mapping.take_exchange();
        REQUIRE(exchange);
        CHECK(mapping.answered(exchange->id, wire(answer), false, now));
    }
    REQUIRE(mapping.external());
    CHECK(mapping.external()->text() == "5.6.7.8:51820");
    CHECK(std::string(mapping.report(now).method) == "UPnP");
    CHECK(mapping.report(now).published);
    CHECK(mapping.report(now).trouble.empty());

    now.steady += 40min;
    mapping.tick(now);
    REQUIRE(mapping.take_datagrams().at(0).to == pcp);
    // Its answer is its request, with what a response has.
    auto answer = request[0].bytes;
    answer[1] = std::byte{0x81};
    answer[6] = std::byte{0x0e};
    for (const auto& [at, value] : {std::pair{42, 0x77}, {43, 0x77}, {56, 5}, {57, 6}, {58, 7}, {59, 8}}) answer[static_cast<std::size_t>(at)] = static_cast<std::byte>(value);
    (void)mapping.take_exchange();
    mapping.receive(answer, pcp, now);
    CHECK(mapping.external()->port == 0x7777);
    CHECK(std::string(mapping.report(now).method) == "PCP");
    const auto deleted = mapping.take_exchange();
    REQUIRE(deleted);
    CHECK_THAT(text(deleted->request), Contains("DeletePortMapping"));
    mapping.release(now);
    CHECK(mapping.take_datagrams().at(0).to == pcp);
}

TEST_CASE("an address of a gateway that is private, or none at all, is told in words and published to nobody") {
    net::SeededRandom random(1);
    const net::Now now{net::Steady(1h), net::Wall(1h)};
    for (const auto& [given, words] : {std::pair{net::IpAddress::v4(192, 168, 178, 2), "behind a NAT"}, {net::IpAddress::v4(100, 64, 0, 9), "behind a NAT"},
                                       {net::IpAddress::v4(127, 0, 0, 1), "nobody can be"}, {net::IpAddress::v4(224, 0, 0, 1), "nobody can be"},
                                       {net::IpAddress::v4(0, 0, 0, 0), "nobody can be"}, {net::IpAddress::v4(255, 255, 255, 255), "nobody can be"},
                                       {net::IpAddress::v4(0, 1, 2, 3), "nobody can be"}}) {
        discovery::PortMapping mapping({{kGateway.address, 0, 0}, net::IpAddress::v4(192, 168, 1, 7), 51820, net::Bytes(32)}, random, now);
        auto answer = mapping.take_datagrams().at(0).bytes;
        answer[1] = std::byte{0x81};
        const auto octets = given.bytes();
        std::copy(octets.begin(), octets.end(), answer.begin() + 56);
        mapping.receive(answer, {kGateway.address, 5351, 0}, now);
        CHECK_FALSE(mapping.external());
        const auto report = mapping.report(now);
        CHECK(report.external == net::Endpoint{given, 51820, 0});
        CHECK_FALSE(report.published);
        CHECK_THAT(report.trouble, Contains(words));
    }
}
