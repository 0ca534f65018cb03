// Random questions, judged by a model that has a list of records and compares texts.
#include "asking.hpp"

using namespace dns;
using namespace dns::testing;

namespace {

struct Entry {
    std::string name;
    unsigned type;
    std::string data;
};

struct Model {
    std::vector<Entry> entries;
    std::vector<std::string> zones;

    static bool below(const std::string& name, const std::string& parent) { return name.ends_with("." + parent); }
    std::string zone_of(const std::string& name) const {
        std::string best;
        for (const auto& zone : zones) {
            if ((name == zone || below(name, zone)) && zone.size() > best.size()) best = zone;
        }
        return best;
    }
    bool exists(const std::string& name) const {
        return std::any_of(entries.begin(), entries.end(),
                           [&](const auto& entry) { return entry.name == name || below(entry.name, name); });
    }
    Texts data_of(const std::string& name, unsigned type) const {
        Texts out;
        for (const auto& entry : entries) {
            if (entry.name == name && entry.type == type) out.push_back(net::to_lower(entry.data));
        }
        std::sort(out.begin(), out.end());
        return out;
    }
};

std::string random_label(net::Random& random) {
    static constexpr std::string_view kLetters = "ab019-";
    std::string out;
    for (auto left = 1 + random.below(3); left > 0; --left) out += kLetters[random.below(kLetters.size())];
    return out;
}

std::string reversed_digits(const std::string& digits) {
    std::string out;
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) out += std::string(1, *digit) + ".";
    return out;
}

Contents random_contents(net::Random& random) {
    Contents out;
    out.mesh = "m.internal";
    out.self = "self";
    out.networks = {*net::Prefix::parse("10.9.8.0/23"), *net::Prefix::parse("fd00:1:2::/48")};
    out.hosts = {{"self", {address("10.9.8.1")}}};
    std::set<std::string> labels{"self"};
    for (unsigned i = 0; i < 8; ++i) {
        const auto label = random_label(random);
        if (!labels.insert(label).second) continue;
        out.hosts.push_back({label, {address("10.9." + std::to_string(8 + random.below(2)) + "." + std::to_string(10 + i)),
                                     address("fd00:1:2::" + std::to_string(10 + i))}});
    }
    out.voice_domain = random.below(2) == 0 ? "m.internal" : "v.m.internal";
    out.is_office = random.below(2) == 0;
    out.offices = {{out.hosts.back().label, 5060, 5060, 0}};
    std::set<std::string> digits_there;
    Numbers numbers;
    for (unsigned i = 0; i < 12; ++i) {
        std::string digits;
        for (auto left = 1 + random.below(6); left > 0; --left) digits += static_cast<char>('0' + random.below(3));
        if (digits_there.insert(digits).second) numbers.emplace_back(digits, "u" + digits + "@m.internal");
    }
    std::sort(numbers.begin(), numbers.end());
    out.numbers = std::make_shared<const Numbers>(std::move(numbers));
    out.number_suffixes = {"tel"};
    return out;
}

Model model_of(const Contents& contents) {
    Model out;
    out.zones = {"m.internal", "tel", "8.9.10.in-addr.arpa", "9.9.10.in-addr.arpa", "2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa"};
    for (const auto& zone : out.zones) {
        out.entries.push_back({zone, kSoa, "ns.self.m.internal. hostmaster.m.internal. 0 60 60 600 10"});
        out.entries.push_back({zone, kNs, "ns.self.m.internal."});
    }
    for (const auto& host : contents.hosts) {
        for (const auto& at : host.addresses) {
            out.entries.push_back({host.label + ".m.internal", at.is_v4() ? kA : kAaaa, at.text()});
            std::string reverse;
            if (at.is_v4()) {
                for (const auto byte : at.bytes()) reverse = std::to_string(std::to_integer<int>(byte)) + "." + reverse;
                reverse += "in-addr.arpa";
            } else {
                reverse = reversed_digits(net::to_hex(at.bytes())) + "ip6.arpa";
            }
            out.entries.push_back({reverse, kPtr, host.label + ".m.internal."});
        }
    }
    out.entries.push_back({"ns.self.m.internal", kA, kLan.text()});
    if (contents.is_office) out.entries.push_back({"sip.self.m.internal", kA, kLan.text()});
    int preference = 10;
    for (const std::string service : {"_sip._udp.", "_sip._tcp."}) {
        const auto name = service + contents.voice_domain;
        out.entries.push_back({contents.voice_domain, kNaptr, "10 " + std::to_string(preference) + " \"s\" \"SIP+D2" + (preference == 10 ? "U" : "T") + "\" \"\" " + name + "."});
        preference += 10;
        if (contents.is_office) out.entries.push_back({name, kSrv, "10 10 5060 sip.self.m.internal."});
        out.entries.push_back({name, kSrv, "20 10 5060 " + contents.offices[0].label + ".m.internal."});
    }
    for (const std::string suffix : {"e164.m.internal", "tel"}) {
        out.entries.push_back({suffix, 0, ""});
        for (const auto& [digits, aor] : *contents.numbers) {
            out.entries.push_back({reversed_digits(digits) + suffix, kNaptr, "100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:" + aor + "!\" ."});
        }
    }
    return out;
}

std::string random_name(const Model& model, net::Random& random) {
    auto name = model.entries[random.below(model.entries.size())].name;
    for (auto changes = random.below(4); changes > 0; --changes) {
        const auto dot = name.find('.');
        switch (random.below(3)) {
            case 0: name = random_label(random) + "." + name; break;
            case 1: name = std::string(1, static_cast<char>('0' + random.below(3))) + "." + name; break;
            default:
                if (dot != name.npos) name = name.substr(dot + 1);
        }
    }
    for (auto& c : name) {
        if (c >= 'a' && c <= 'z' && random.below(4) == 0) c = static_cast<char>(c - 'a' + 'A');
    }
    return name;
}

}  // namespace

TEST_CASE("random questions are answered as a plain list of records would") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        net::SeededRandom random(seed);
        const auto contents = random_contents(random);
        const auto model = model_of(contents);
        const Zones zones(contents);
        std::size_t answered = 0;
        for (int i = 0; i < 1000; ++i) {
            static constexpr std::array kTypes{kA, kNs, kSoa, kPtr, kMx, kAaaa, kSrv, kNaptr};
            const auto name = random_name(model, random);
            const auto type = kTypes[random.below(kTypes.size())];
            INFO("seed " << seed << ": " << name << " " << type);
            const auto plain = net::to_lower(name), zone = model.zone_of(plain);
            const auto said = ask(zones, {name, type}, true);
            const auto expected = model.data_of(plain, type);
            REQUIRE(said.rcode() == (zone.empty() ? 5u : model.exists(plain) ? 0u : 3u));
            REQUIRE(said.aa() == !zone.empty());
            Texts data;
            for (const auto& text : said.answers()) {
                REQUIRE(text.starts_with(name + ". "));
                // A name in the data may be a pointer to the question, in its case.
                data.push_back(net::to_lower(text.substr(text.find(' ', text.find(' ', name.size() + 2) + 1) + 1)));
            }
            std::sort(data.begin(), data.end());
            REQUIRE(data == (zone.empty() ? Texts{} : expected));
            REQUIRE(said.authority().size() == (data.empty() && !zone.empty() ? 1 : 0));
            if (!said.authority().empty()) REQUIRE(net::to_lower(said.authority()[0]).starts_with(zone + ". 10 soa "));
            answered += data.empty() ? 0 : 1;
        }
        CHECK(answered > 30);
    }
}
