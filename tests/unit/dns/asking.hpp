/// A mesh's zones to ask, and responses as ldns reads them.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <set>

#include "dns/respond.hpp"
#include "net/random.hpp"
#include "net/text.hpp"

// Last, for its macros named true and false.
#include <ldns/ldns.h>

namespace dns::testing {

inline net::IpAddress address(std::string_view text) { return *net::IpAddress::parse(text); }

inline const net::IpAddress kLan = address("192.168.1.1");

inline Contents acme() {
    Contents out;
    out.mesh = "acme.internal";
    out.self = "trento";
    out.hosts = {{"trento", {address("10.87.0.1"), address("fd00:1:2::1")}},
                 {"munich", {address("10.87.0.2"), address("fd00:1:2::2")}},
                 {"london", {address("fd00:1:2::3")}}};
    out.networks = {*net::Prefix::parse("10.87.0.0/16"), *net::Prefix::parse("fd00:1:2::/48")};
    out.voice_domain = "acme.internal";
    out.is_office = true;
    out.offices = {{"munich", 5060, 5060, 0}, {"london", 5070, 0, 5071}};
    out.numbers = std::make_shared<const Numbers>(Numbers{{"3904610148", "bob@acme.internal"},
                                                          {"442079460148", "alice@acme.internal"},
                                                          {"4420794601487", "it's!odd@acme.internal"}});
    out.serial = 7;
    return out;
}

/// A query by hand, so that it may be wrong, too.
struct Question {
    std::string name;
    std::uint16_t type = 1;
    std::uint16_t record_class = 1;
    std::uint16_t flags = 0x0100;
    int udp_bytes = -1;  ///< of EDNS; none
    std::uint8_t version = 0;
    bool dnssec_ok = false;

    net::Bytes bytes() const {
        net::Writer out;
        out.u16be(0x4d44).u16be(flags).u16be(1).u16be(0).u16be(0).u16be(udp_bytes >= 0 ? 1 : 0);
        for (std::string_view left = name; !left.empty();) {
            const auto end = std::min(left.find('.'), left.size());
            out.u8(static_cast<std::uint8_t>(end)).bytes(net::as_bytes(left.substr(0, end)));
            left.remove_prefix(std::min(end + 1, left.size()));
        }
        out.u8(0).u16be(type).u16be(record_class);
        if (udp_bytes >= 0) {
            out.u8(0).u16be(41).u16be(static_cast<std::uint16_t>(udp_bytes));
            out.u8(0).u8(version).u16be(dnssec_ok ? 0x8000 : 0).u16be(0);
        }
        return out.take();
    }
};

/// What ldns makes of a response.
class Said {
public:
    explicit Said(Response response) : response_(std::move(response)) {
        ldns_pkt* raw = nullptr;
        if (!bytes().empty()) REQUIRE(ldns_wire2pkt(&raw, net::u8(bytes()), bytes().size()) == LDNS_STATUS_OK);
        packet_.reset(raw);
    }
    net::ByteView bytes() const { return response_.message; }
    Outcome outcome() const { return response_.outcome; }
    ldns_pkt* operator->() const { return packet_.get(); }
    unsigned rcode() const { return static_cast<unsigned>(ldns_pkt_get_rcode(get()) | ldns_pkt_edns_extended_rcode(get()) << 4); }
    bool aa() const { return ldns_pkt_aa(get()); }
    bool tc() const { return ldns_pkt_tc(get()); }
    std::vector<std::string> answers() const { return texts(ldns_pkt_answer(get())); }
    std::vector<std::string> authority() const { return texts(ldns_pkt_authority(get())); }
    std::vector<std::string> additional() const { return texts(ldns_pkt_additional(get())); }
    ldns_pkt* get() const { return packet_.get(); }

private:
    struct Free {
        void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
    };
    /// "owner ttl type data", single spaces.
    static std::vector<std::string> texts(const ldns_rr_list* list) {
        std::vector<std::string> out;
        for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
            const std::unique_ptr<char, decltype(&std::free)> raw(ldns_rr2str(ldns_rr_list_rr(list, i)), &std::free);
            std::string text = raw.get();
            while (!text.empty() && text.back() == '\n') text.pop_back();
            std::replace(text.begin(), text.end(), '\t', ' ');
            if (const auto in = text.find(" IN "); in != text.npos) text.erase(in, 3);
            out.push_back(text);
        }
        return out;
    }
    Response response_;
    std::unique_ptr<ldns_pkt, Free> packet_;
};

inline Said ask(const Zones& zones, const Question& question, bool by_tcp = false, const net::IpAddress& to = kLan) {
    const auto bytes = question.bytes();
    return Said(respond(zones, {bytes, by_tcp, to}));
}

using Texts = std::vector<std::string>;
inline constexpr std::uint16_t kA = 1, kNs = 2, kSoa = 6, kPtr = 12, kMx = 15, kAaaa = 28, kSrv = 33, kNaptr = 35, kAny = 255;

}  // namespace dns::testing
