#include <catch2/catch.hpp>

#include "meshd/live_streams.hpp"

TEST_CASE("others are told where this machine listens for streams, at each address where it does so everywhere") {
    const auto at = [](const char* text) { return *net::Endpoint::parse(text); };
    meshd::OwnAddresses ours;
    ours.endpoints = {at("192.168.1.7:51820"), at("[2001:db8::7]:51820"), at("198.51.100.7:51820")};
    using Endpoints = std::vector<net::Endpoint>;
    CHECK(meshd::stream_endpoints({}, {}, ours).empty());
    CHECK(meshd::stream_endpoints({at("203.0.113.1:8443")}, {at("0.0.0.0:443")}, ours) ==
          Endpoints{at("203.0.113.1:8443"), at("192.168.1.7:443"), at("198.51.100.7:443")});
    CHECK(meshd::stream_endpoints({at("198.51.100.7:443")}, {at("0.0.0.0:443"), at("[::]:443")}, ours) ==
          Endpoints{at("198.51.100.7:443"), at("192.168.1.7:443"), at("[2001:db8::7]:443")});
    CHECK(meshd::stream_endpoints({}, {at("192.0.2.9:8443")}, ours) == Endpoints{at("192.0.2.9:8443")});
}
