/// Offices with gateways to the telephone network.
#pragma once

#include "offices.hpp"

namespace test {

inline const std::string kTrunkNumber = "sip:+442079460148@acme.example";

inline net::Endpoint gateway_of(std::uint8_t n) { return {net::IpAddress::v4(192, 0, 2, n), 5060, 0}; }

inline voice::TrunkSettings trunk(const std::string& name, std::uint8_t n) {
    voice::TrunkSettings out;
    out.name = name;
    out.server = *voice::Uri::parse("sip:" + gateway_of(n).text());
    return out;
}

/// Offices without a centre (or with one); trento and munich have a gateway each.
struct TrunkScene : Scene {
    using Change = std::function<void(voice::ProxySettings&)>;
    explicit TrunkScene(const Change& change = {}, bool with_centre = false)
        : Scene(1, with_centre,
                [&](voice::ProxySettings& settings) {
                    settings.emergency = {"112", "999"};
                    settings.outside = voice::OutsideUse::never;  // no name server here
                    if (settings.node == "trento") settings.trunks = {trunk("line", 1)};
                    if (settings.node == "munich") settings.trunks = {trunk("amt", 2)};
                    if (change) change(settings);
                }),
          first(world, "gateway", gateway_of(1), trento.wan()),
          second(world, "gateway", gateway_of(2), munich.wan()) {
        first.domain = first.at.address.text();
        second.domain = second.at.address.text();
        roster.numbers["+390461100"] = "alice@acme.example";
        roster.numbers["+498912300"] = "bob@acme.example";
        register_all();
    }
    int dial(const std::string& uri, net::Duration time = 2s) { return dial(alice, uri, time); }
    int dial(Phone& phone, const std::string& uri, net::Duration time = 2s) {
        phone.history.clear();
        phone.call(uri);
        world.run(time);
        return phone.last("INVITE");
    }
    static std::vector<const voice::Message*> calls(const Phone& gateway) {
        std::vector<const voice::Message*> out;
        for (const auto& told : gateway.history) {
            if (told.method == "INVITE" && told.status == 0) out.push_back(&told.message);
        }
        return out;
    }
    std::string state(const Office& office) { return office.proxy.trunks(world.now).at(0).state; }

    Phone first, second;
};

}  // namespace test
