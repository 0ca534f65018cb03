#include "mesh/bodies.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mesh {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxAddresses = 8, kMaxSubnets = 32, kMaxGroups = 32, kMaxEndpoints = 16, kMaxNumbers = 16;
constexpr std::size_t kMaxNodes = 32, kMaxCredentials = 1024, kMaxWhy = 200;
constexpr std::size_t kBindingBytes = 10;  // u64 user, u16 seconds after the first to end

constexpr std::size_t kMaxPhonePorts = 8;  // with those of transports to come, which are skipped
constexpr std::pair<const char*, std::uint16_t PhonePorts::*> kPhonePorts[] = {
    {"u", &PhonePorts::udp}, {"t", &PhonePorts::tcp}, {"s", &PhonePorts::tls}};

// Writing.

Json binary(net::ByteView bytes) {
    return Json::binary(std::vector<std::uint8_t>(net::u8(bytes), net::u8(bytes) + bytes.size()));
}
Json address_json(const net::IpAddress& address) { return binary(address.bytes()); }
Json prefix_json(const net::Prefix& prefix) {
    net::Writer out;
    out.bytes(prefix.address().bytes()).u8(static_cast<std::uint8_t>(prefix.length()));
    return binary(out.view());
}
Json endpoint_json(const net::Endpoint& endpoint) {
    net::Writer out;
    out.bytes(endpoint.address.bytes()).u16be(endpoint.port);
    return binary(out.view());
}
template <class T, class Write>
Json array_json(const std::vector<T>& all, Write write) {
    Json out = Json::array();
    for (const auto& one : all) out.push_back(write(one));
    return out;
}
template <class T, class Write>
void put(Json& out, const char* key, const std::vector<T>& all, Write write) {
    if (!all.empty()) out[key] = array_json(all, write);
}
Json same(const std::string& text) { return text; }

struct ToJson {
    Json operator()(const Member& m) const {
        auto out = Json::object(
            {{"n", m.name}, {"k", binary(m.tunnel_key.view())}, {"r", m.roles.bits}, {"f", m.valid_from}});
        put(out, "a", m.addresses, address_json);
        put(out, "s", m.subnets, prefix_json);
        put(out, "g", m.groups, same);
        if (m.stock) out["x"] = true;
        if (m.valid_until != 0) out["u"] = m.valid_until;
        if (!m.invitation.is_zero()) out["i"] = binary(m.invitation.view());
        return out;
    }
    Json operator()(const Revocation& r) const { return Json::object({{"t", r.at}, {"w", r.why}}); }
    Json operator()(const Invitation& i) const {
        auto out =
            Json::object({{"n", i.name}, {"r", i.roles.bits}, {"u", i.until}, {"i", binary(i.issuer.view())}});
        put(out, "s", i.subnets, prefix_json);
        return out;
    }
    Json operator()(const MeshPolicy& p) const {
        return Json::object({{"n", p.name}, {"p", prefix_json(p.pool)}, {"d", binary(p.discovery_key.view())}});
    }
    Json operator()(const SealedVoiceKey& v) const { return Json::object({{"i", v.id}, {"s", binary(v.sealed)}}); }
    Json operator()(const OpaquePolicy&) const { return Json::object(); }
    Json operator()(const User& u) const {
        auto out = Json::object();
        out["t"] = u.since;
        put(out, "m", u.numbers, same);
        put(out, "n", u.nodes, [](const net::NodeKey& key) { return binary(key.view()); });
        if (u.any_node) out["a"] = true;
        if (u.removed) out["x"] = true;
        if (!u.credentials.empty()) {
            out["i"] = u.voice_key;
            out["c"] = binary(u.credentials);
        }
        return out;
    }
    Json operator()(const NodeInfo& n) const {
        auto out = Json::object();
        out["c"] = n.capabilities;
        put(out, "e", n.endpoints, endpoint_json);
        put(out, "s", n.offered, prefix_json);
        put(out, "k", n.trunks, [](const OfferedTrunk& trunk) {
            return Json::array({trunk.name, trunk.cost, trunk.emergency, array_json(trunk.prefixes, same)});
        });
        auto ports = Json::object();
        for (const auto& [key, port] : kPhonePorts) {
            if (n.phones.*port != 0) ports[key] = n.phones.*port;
        }
        if (!ports.empty()) out["p"] = std::move(ports);
        std::vector<std::byte> found;
        for (const auto one : n.found) found.push_back(static_cast<std::byte>(one));
        if (!found.empty()) out["f"] = binary(found);
        put(out, "t", n.streams, endpoint_json);
        if (n.nat != NatMapping::unknown) out["n"] = static_cast<std::uint8_t>(n.nat);
        return out;
    }
    Json operator()(const Bindings& b) const {
        std::int64_t first = b.bindings.empty() ? 0 : INT64_MAX;
        for (const auto& one : b.bindings) first = std::min(first, one.until);
        net::Writer out;
        for (const auto& one : b.bindings) {
            out.u64be(one.user).u16be(static_cast<std::uint16_t>(std::min(one.until - first, Bindings::kSpan_s)));
        }
        return Json::object({{"t", first}, {"u", binary(out.view())}});
    }
};

// Reading: `Fields` remembers whether anything was of the wrong kind, so a body is read in one go and judged once.

class Fields {
public:
    explicit Fields(const Json& object) : object_(object), good_(object.is_object()) {}

    bool good() const { return good_; }
    void want(bool condition) { good_ = good_ && condition; }

    const Json* find(const char* key, bool needed) {
        if (!good_) return nullptr;
        const auto found = object_.find(key);
        if (found != object_.end()) return &*found;
        want(!needed);
        return nullptr;
    }
    std::string text(const char* key, std::size_t max, bool needed) {
        const Json* value = find(key, needed);
        return value == nullptr ? "" : text_of(*value, max);
    }
    std::int64_t time(const char* key, bool needed) { return static_cast<std::int64_t>(number(key, INT64_MAX / 4, needed)); }
    std::uint64_t number(const char* key, std::uint64_t max, bool needed) {
        const Json* value = find(key, needed);
        if (value == nullptr) return 0;
        want(value->is_number_unsigned() && value->get<std::uint64_t>() <= max);
        return good_ ? value->get<std::uint64_t>() : 0;
    }
    bool flag(const char* key) {
        const Json* value = find(key, false);
        if (value == nullptr) return false;
        want(value->is_boolean());
        return good_ && value->get<bool>();
    }
    template <class Key>
    Key key(const char* name, bool needed) {
        const Json* value = find(name, needed);
        return value == nullptr ? Key{} : key_of<Key>(*value);
    }
    net::Bytes bytes(const char* key, std::size_t max, bool needed) {
        const Json* value = find(key, needed);
        if (value == nullptr) return {};
        const auto view = view_of(*value);
        want(view.size() <= max);
        return good_ ? net::copy(view) : net::Bytes{};
    }
    template <class T, class Read>
    std::vector<T> list(const char* key, std::size_t max, Read read) {
        std::vector<T> out;
        const Json* value = find(key, false);
        if (value == nullptr) return out;
        want(value->is_array() && value->size() <= max);
        if (!good_) return out;
        for (const auto& one : *value) out.push_back(read(one));
        return out;
    }

    std::string text_of(const Json& value, std::size_t max) {
        want(value.is_string());
        if (!good_) return "";
        const auto& text = value.get_ref<const std::string&>();
        want(text.size() <= max && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }));
        return good_ ? text : "";
    }
    net::ByteView view_of(const Json& value) {
        want(value.is_binary());
        if (!good_) return {};
        const auto& bytes = value.get_binary();
        return std::as_bytes(std::span(bytes.data(), bytes.size()));
    }
    template <class Key>
    Key key_of(const Json& value) {
        const auto key = Key::from(view_of(value));
        want(key.has_value());
        return key.value_or(Key{});
    }
    net::IpAddress address_of(const Json& value) {
        const auto address = net::IpAddress::from_bytes(view_of(value));
        want(!address.is_none());
        return address;
    }
    net::Prefix prefix_of(const Json& value) {
        const auto view = view_of(value);
        want(view.size() == 5 || view.size() == 17);
        if (!good_) return {};
        const auto address = net::IpAddress::from_bytes(view.first(view.size() - 1));
        const auto length = std::to_integer<unsigned>(view.back());
        want(length <= address.bits());
        if (!good_) return {};
        const net::Prefix prefix(address, length);
        want(prefix.address() == address);  // one form only
        return prefix;
    }
    net::Endpoint endpoint_of(const Json& value) {
        const auto view = view_of(value);
        want(view.size() == 6 || view.size() == 18);
        if (!good_) return {};
        net::Reader reader(view);
        net::Endpoint endpoint;
        endpoint.address = net::IpAddress::from_bytes(reader.bytes(view.size() - 2));
        endpoint.port = reader.u16be();
        want(endpoint.port != 0);
        return endpoint;
    }

private:
    const Json& object_;
    bool good_;
};

constexpr std::uint8_t kAllRoles = 0xff;  // roles to come are kept and mean nothing yet

std::optional<Body> read_member(Fields& in) {
    Member m;
    m.name = in.text("n", 63, true);
    m.tunnel_key = in.key<net::TunnelKey>("k", true);
    m.roles.bits = static_cast<std::uint8_t>(in.number("r", kAllRoles, true));
    m.valid_from = in.time("f", true);
    m.valid_until = in.time("u", false);
    m.addresses = in.list<net::IpAddress>("a", kMaxAddresses, [&](const Json& one) { return in.address_of(one); });
    m.subnets = in.list<net::Prefix>("s", kMaxSubnets, [&](const Json& one) { return in.prefix_of(one); });
    m.groups = in.list<std::string>("g", kMaxGroups, [&](const Json& one) { return in.text_of(one, 63); });
    m.stock = in.flag("x");
    m.invitation = in.key<net::TunnelKey>("i", false);
    in.want(is_node_name(m.name) && !m.tunnel_key.is_zero());
    return m;
}

PhonePorts read_phone_ports(Fields& in) {
    PhonePorts out;
    const Json* value = in.find("p", false);
    if (value == nullptr) return out;
    in.want(value->is_object() && value->size() <= kMaxPhonePorts);
    for (const auto& [key, port] : kPhonePorts) {
        const auto found = in.good() ? value->find(key) : value->end();
        if (!in.good() || found == value->end()) continue;
        in.want(found->is_number_unsigned() && found->get<std::uint64_t>() >= 1 && found->get<std::uint64_t>() <= UINT16_MAX);
        if (in.good()) out.*port = found->get<std::uint16_t>();
    }
    return out;
}

OfferedTrunk read_trunk(Fields& in, const Json& value) {
    OfferedTrunk out;
    in.want(value.is_array() && value.size() == 4);
    if (!in.good()) return out;
    in.want(value[1].is_number_unsigned() && value[1].get<std::uint64_t>() <= UINT32_MAX && value[2].is_boolean() &&
            value[3].is_array() && value[3].size() <= kMaxTrunkPrefixes);
    if (!in.good()) return out;
    out.name = in.text_of(value[0], 32);
    out.cost = value[1].get<std::uint32_t>();
    out.emergency = value[2].get<bool>();
    for (const auto& prefix : value[3]) out.prefixes.push_back(in.text_of(prefix, 16));
    return out;
}

std::optional<Body> read_policy(const RecordKey& key, Fields& in) {
    if (key.subject == kMeshPolicy) {
        MeshPolicy p;
        p.name = in.text("n", 63, true);
        if (const auto* pool = in.find("p", true)) p.pool = in.prefix_of(*pool);
        p.discovery_key = in.key<decltype(p.discovery_key)>("d", true);
        in.want(is_node_name(p.name) && p.pool.address().is_v4());
        return p;
    }
    if (key.subject.starts_with(kVoiceKeyPolicy)) {
        SealedVoiceKey v;
        in.want(key.subject.size() == kVoiceKeyPolicy.size() + 32);
        v.id = in.number("i", UINT64_MAX, true);
        v.sealed = in.bytes("s", 128, true);
        return v;
    }
    return OpaquePolicy{};
}

std::optional<Body> read_user(const RecordKey& key, Fields& in) {
    User u;
    u.since = in.time("t", true);
    u.numbers = in.list<std::string>("m", kMaxNumbers, [&](const Json& one) { return in.text_of(one, 32); });
    u.nodes = in.list<net::NodeKey>("n", kMaxNodes, [&](const Json& one) { return in.key_of<net::NodeKey>(one); });
    u.any_node = in.flag("a");
    u.removed = in.flag("x");
    u.voice_key = in.number("i", UINT64_MAX, false);
    u.credentials = in.bytes("c", kMaxCredentials, false);
    in.want(std::all_of(u.numbers.begin(), u.numbers.end(), is_number) && normal_aor(key.subject) == key.subject);
    return u;
}

std::optional<Body> read_bindings(const RecordKey& key, Fields& in) {
    Bindings b;
    const auto first = in.time("t", true);
    const auto bytes = in.bytes("u", Bindings::kMost * kBindingBytes, true);
    in.want(bytes.size() % kBindingBytes == 0 && key.subject.size() == 33);
    for (net::Reader read(bytes); in.good() && read.left() > 0;) {
        const auto user = read.u64be();
        in.want(b.bindings.empty() || b.bindings.back().user < user);
        in.want(user >> 56 == static_cast<std::uint8_t>(key.subject.back()));
        b.bindings.push_back({user, first + read.u16be()});
    }
    return b;
}

std::optional<Body> read(const RecordKey& key, Fields& in) {
    switch (key.type) {
        case RecordType::member: return read_member(in);
        case RecordType::revocation: {
            Revocation r;
            r.at = in.time("t", true);
            r.why = in.text("w", kMaxWhy, false);
            return r;
        }
        case RecordType::invitation: {
            Invitation i;
            i.name = in.text("n", 63, true);
            i.roles.bits = static_cast<std::uint8_t>(in.number("r", kAllRoles, true));
            i.until = in.time("u", true);
            i.issuer = in.key<net::NodeKey>("i", true);
            i.subnets = in.list<net::Prefix>("s", kMaxSubnets, [&](const Json& one) { return in.prefix_of(one); });
            in.want(is_node_name(i.name));
            return i;
        }
        case RecordType::policy: return read_policy(key, in);
        case RecordType::user: return read_user(key, in);
        case RecordType::node: {
            NodeInfo n;
            n.capabilities = static_cast<std::uint32_t>(in.number("c", UINT32_MAX, true));
            n.endpoints = in.list<net::Endpoint>("e", kMaxEndpoints, [&](const Json& one) { return in.endpoint_of(one); });
            n.offered = in.list<net::Prefix>("s", kMaxSubnets, [&](const Json& one) { return in.prefix_of(one); });
            n.trunks = in.list<OfferedTrunk>("k", kMaxTrunks, [&](const Json& one) { return read_trunk(in, one); });
            n.phones = read_phone_ports(in);
            // What a later version knows more of counts as not said.
            for (const auto one : in.bytes("f", kMaxEndpoints, false)) {
                n.found.push_back(one <= static_cast<std::byte>(Found::seen) ? static_cast<Found>(one) : Found::unsaid);
            }
            n.streams = in.list<net::Endpoint>("t", kMaxStreams, [&](const Json& one) { return in.endpoint_of(one); });
            const auto nat = in.number("n", UINT8_MAX, false);
            if (nat <= static_cast<std::uint8_t>(NatMapping::endpoint_dependent)) n.nat = static_cast<NatMapping>(nat);
            return n;
        }
        case RecordType::bindings: return read_bindings(key, in);
    }
    return std::nullopt;
}

bool subject_is_key(RecordType type) {
    return type == RecordType::member || type == RecordType::revocation || type == RecordType::invitation ||
           type == RecordType::node;
}

}  // namespace

net::Bytes encode(const Body& body) {
    const auto bytes = Json::to_cbor(std::visit(ToJson{}, body));
    return net::copy(std::as_bytes(std::span(bytes)));
}

std::optional<Body> decode(const RecordKey& key, net::ByteView body) {
    if (subject_is_key(key.type) && key.subject.size() != 32) return std::nullopt;
    const auto json = Json::from_cbor(net::u8(body), net::u8(body) + body.size(), true, false);
    if (json.is_discarded()) return std::nullopt;
    Fields in(json);
    auto out = read(key, in);
    if (!in.good()) return std::nullopt;
    return out;
}

}  // namespace mesh
