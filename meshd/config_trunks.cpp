// "trunks" and "emergency" of "voice".
#include <algorithm>
#include <array>

#include "meshd/config_sections.hpp"
#include "voice/characters.hpp"
#include "voice/trunk_offer.hpp"

namespace meshd {
namespace {

using Value = ConfigValue;

constexpr std::size_t kMaxEmergency = 16;
constexpr std::size_t kMaxEmergencyDigits = 8;
constexpr std::size_t kMaxInbound = 32;

TrunkConfig& last_trunk(Config& config) { return config.voice.trunks.back(); }

void read_server(const Value& value, Config& config) {
    const auto uri = voice::Uri::parse(value.text());
    const auto transport = uri ? uri->params.get("transport").value_or("udp") : "";
    const bool known = transport == "udp" || transport == "tcp" || transport == "tls";
    const bool other_params = uri && uri->params.all().size() > (uri->params.has("transport") ? 1U : 0U);
    if (!uri || !uri->is_sip() || uri->host.empty() || !uri->user.empty() || !uri->headers.empty() || !known || other_params ||
        (uri->scheme == "sips" && transport == "udp" && uri->params.has("transport"))) {
        value.must_be("a SIP server, such as \"sip:sip.carrier.example;transport=tls\" or \"sip:192.0.2.10\"");
    }
    last_trunk(config).settings.server = *uri;
}

void read_from(const Value& value, Config& config) {
    const auto uri = voice::Uri::parse(value.text());
    if (!uri || !uri->is_sip() || uri->user.empty() || uri->host.empty()) {
        value.must_be("a SIP address, such as \"sip:account@carrier.example\"");
    }
    last_trunk(config).settings.from = *uri;
}

void read_caller_id(const Value& value, Config& config) {
    const auto number = voice::parse_e164(value.text());
    if (!number) value.must_be("an E.164 number, such as \"+442079460100\"");
    last_trunk(config).settings.caller_id = *number;
}

void read_prefixes(const Value& value, Config& config) {
    auto& prefixes = last_trunk(config).settings.prefixes;
    prefixes.clear();
    for (const auto& entry : value.list(0, voice::kMaxTrunkPrefixes)) {
        if (!voice::is_trunk_prefix(entry.text())) entry.must_be("\"+\" and digits, such as \"+44\", or \"+\" for all numbers");
        prefixes.push_back(entry.text());
    }
}

void read_trunk(const Value& value, Config& config) {
    static constexpr auto kForms = std::to_array<std::string_view>({"e164", "international", "national"});  // NumberForm
    static constexpr auto kKeys = std::to_array<Value::Key>({
        {"name",
         [](const Value& v, Config& c) {
             if (!voice::is_trunk_name(v.text())) v.must_be("letters, digits and '-', at most 32, such as \"carrier\"");
             for (const auto& trunk : c.voice.trunks) {
                 if (trunk.settings.name == v.text()) v.refuse("two trunks are named \"" + v.text() + "\"");
             }
             last_trunk(c).settings.name = v.text();
         }},
        {"server", read_server},
        {"register", [](const Value& v, Config& c) { last_trunk(c).settings.registers = v.boolean(); }},
        {"user", [](const Value& v, Config& c) { last_trunk(c).settings.user = v.text(); }},
        {"password_file", [](const Value& v, Config& c) { last_trunk(c).password_file = v.text(); }},
        {"realm", [](const Value& v, Config& c) { last_trunk(c).settings.realm = v.text(); }},
        {"from", read_from},
        {"caller_id", read_caller_id},
        {"prefixes", read_prefixes},
        {"cost", [](const Value& v, Config& c) { last_trunk(c).settings.cost = static_cast<unsigned>(v.integer(0, 1000)); }},
        {"form", [](const Value& v, Config& c) { last_trunk(c).settings.form = static_cast<voice::NumberForm>(v.choice(kForms)); }},
        {"strip", [](const Value& v, Config& c) { last_trunk(c).settings.strip = static_cast<unsigned>(v.integer(0, 15)); }},
        {"add",
         [](const Value& v, Config& c) {
             const auto& text = v.text();
             const bool dialled = text.find_first_not_of("0123456789+*#") == text.npos && text.size() <= 16;
             if (!dialled) v.must_be("what is dialled before the number, such as \"9\"");
             last_trunk(c).settings.add = text;
         }},
        {"inbound_from",
         [](const Value& v, Config& c) {
             for (const auto& entry : v.list(0, kMaxInbound)) last_trunk(c).settings.inbound_from.push_back(entry.prefix());
         }},
        {"emergency", [](const Value& v, Config& c) { last_trunk(c).settings.emergency = v.boolean(); }},
    });
    config.voice.trunks.emplace_back();
    value.members(kKeys, config);
    const auto& trunk = last_trunk(config);
    if (trunk.settings.name.empty()) value.refuse("\"" + value.name() + "\" needs a \"name\"");
    if (trunk.settings.server.host.empty()) value.refuse("\"" + value.name() + "\" needs a \"server\", such as \"sip:192.0.2.10\"");
    if (trunk.settings.user.empty() != trunk.password_file.empty()) {
        value.refuse("\"" + value.name() + "\" must have both \"user\" and \"password_file\", or neither");
    }
    if (trunk.settings.registers && trunk.settings.user.empty()) {
        value.refuse("\"" + value.name() + "\" registers: it needs \"user\" and \"password_file\"");
    }
}

}  // namespace

void read_trunks(const ConfigValue& value, Config& config) {
    config.voice.trunks.clear();
    for (const auto& entry : value.list(0, voice::kMaxTrunks)) read_trunk(entry, config);
}

void read_emergency(const ConfigValue& value, Config& config) {
    config.voice.emergency.clear();
    for (const auto& entry : value.list(0, kMaxEmergency)) {
        const auto& number = entry.text();
        if (number.empty() || number.size() > kMaxEmergencyDigits || !voice::all_digits(number)) {
            entry.must_be("a number that calls for help, such as \"112\"");
        }
        config.voice.emergency.push_back(number);
    }
}

}  // namespace meshd
