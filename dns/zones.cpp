#include "dns/zones.hpp"

#include <algorithm>

namespace dns {
namespace {

constexpr std::size_t kMaxE164Digits = 15, kMaxText = 255;
// RFC 2782: the lowest priority is tried first; among equal ones the weights share.
constexpr std::uint16_t kOwnPriority = 10, kFirstOtherPriority = 20, kWeight = 10;

/// RFC 6116 section 3.4.2: the output of a rule with flag "u" is a URI, here of the whole number. The delimiter must not stand in it (RFC 3402 section 3.2).
std::optional<std::string> whole_number_to(const std::string& aor) {
    for (const char delimiter : {'!', '|', '^'}) {
        if (aor.find(delimiter) != aor.npos) continue;
        const std::string mark(1, delimiter);
        auto out = mark + "^.*$" + mark + "sip:" + aor + mark;
        return out.size() <= kMaxText ? std::optional(std::move(out)) : std::nullopt;
    }
    return std::nullopt;
}

/// At one name, of one type; Here as those addresses that are of the type.
void collect(const std::vector<Record>& all, Type type, const std::vector<net::IpAddress>& here, std::vector<Record>& out) {
    for (const auto& record : all) {
        if (record.type != type) continue;
        if (!std::holds_alternative<Here>(record.data)) {
            out.push_back(record);
            continue;
        }
        for (const auto& address : here) {
            if (address.is_v4() == (type == Type::a)) out.push_back({record.owner, type, record.ttl_s, address});
        }
    }
}

}  // namespace

Zones::Zones(Contents contents) : contents_(std::move(contents)) {
    const auto mesh = Name::parse(contents_.mesh);
    if (!mesh || mesh->is_root()) return;
    add_zone(*mesh);
    for (const auto& network : contents_.networks) {
        for (const auto& zone : reverse_zones(network)) add_zone(zone);
    }
    if (const auto suffix = mesh->child("e164")) suffixes_.push_back(*suffix);
    for (const auto& text : contents_.number_suffixes) {
        const auto suffix = Name::parse(text);
        if (!suffix || suffix->is_root()) continue;
        suffixes_.push_back(*suffix);
        if (apex_of(*suffix) == nullptr) add_zone(*suffix);
    }
    // They are there with no number at all, and so are the names between them and their zones (RFC 8020).
    for (const auto& suffix : suffixes_) records_[suffix];
    add_hosts(*mesh);
    add_voice(*mesh);
    for (const auto& apex : apexes_) {
        add(apex, Type::soa, kNegativeTtlS, soa(apex).data);
        if (const auto name = server()) add(apex, Type::ns, kNodeTtlS, *name);
    }
    add(server(), Type::a, kNodeTtlS, Here{});
    add(server(), Type::aaaa, kNodeTtlS, Here{});
}

void Zones::add(std::optional<Name> owner, Type type, std::uint32_t ttl_s, decltype(Record::data) data) {
    if (!owner) return;
    auto& records = records_[*owner];
    records.push_back({std::move(*owner), type, ttl_s, std::move(data)});
}

void Zones::add_zone(const Name& apex) {
    apexes_.insert(apex);
    most_apex_labels_ = std::max(most_apex_labels_, apex.labels().size());
}

void Zones::add_hosts(const Name& mesh) {
    for (const auto& host : contents_.hosts) {
        const auto name = mesh.child(host.label);
        if (!name) continue;
        for (const auto& address : host.addresses) {
            add(name, address.is_v4() ? Type::a : Type::aaaa, kNodeTtlS, address);
            auto reverse = reverse_name(address);
            if (apex_of(reverse) != nullptr) add(std::move(reverse), Type::ptr, kNodeTtlS, *name);
        }
    }
}

void Zones::add_voice(const Name& mesh) {
    const auto domain = Name::parse(contents_.voice_domain);
    if (!domain || domain->is_root()) return;
    if (apex_of(*domain) == nullptr) outside_domain_ = domain;
    if (contents_.is_office) {
        const auto self = mesh.child(contents_.self);
        const auto office = self ? self->child("sip") : std::nullopt;
        for (const auto& address : contents_.phones_reach) {
            add(office, address.is_v4() ? Type::a : Type::aaaa, kVoiceTtlS, address);
        }
        if (contents_.phones_reach.empty()) {
            add(office, Type::a, kVoiceTtlS, Here{});
            add(office, Type::aaaa, kVoiceTtlS, Here{});
        }
    }
    using Office = Contents::Office;
    const auto own_port = contents_.is_office ? contents_.sip_port : std::uint16_t{0};
    add_service(*domain, mesh, "_sip", "_udp", own_port, &Office::udp_port);
    add_service(*domain, mesh, "_sip", "_tcp", own_port, &Office::tcp_port);
    const bool any_tls = contents_.sips_port || std::any_of(contents_.offices.begin(), contents_.offices.end(),
                                                            [](const auto& office) { return office.tls_port != 0; });
    const auto own_tls = contents_.is_office ? contents_.sips_port.value_or(0) : std::uint16_t{0};
    if (any_tls) add_service(*domain, mesh, "_sips", "_tcp", own_tls, &Office::tls_port);
}

void Zones::add_service(const Name& domain, const Name& mesh, const char* service, const char* transport, std::uint16_t own_port,
                        std::uint16_t Contents::Office::*office_port) {
    const auto parent = domain.child(transport);
    const auto name = parent ? parent->child(service) : std::nullopt;
    if (!name) return;
    if (apex_of(*name) == nullptr) add_zone(*name);
    std::vector<const Contents::Office*> others;
    for (const auto& office : contents_.offices) {
        if (office.*office_port != 0 && others.size() < kMaxOffices) others.push_back(&office);
    }
    if (own_port == 0 && others.empty()) return;
    const bool udp = std::string_view(transport) == "_udp", tls = std::string_view(service) == "_sips";
    // UDP first, as phones that were told nothing use it; TLS last, for a certificate of our own is not in their lists.
    const auto preference = static_cast<std::uint16_t>(udp ? 10 : tls ? 30 : 20);
    add(domain, Type::naptr, kVoiceTtlS,
        Naptr{10, preference, "s", udp ? "SIP+D2U" : tls ? "SIPS+D2T" : "SIP+D2T", "", *name});
    const auto self = mesh.child(contents_.self);
    if (const auto office = self && own_port != 0 ? self->child("sip") : std::nullopt) {
        add(name, Type::srv, kVoiceTtlS, Srv{kOwnPriority, kWeight, own_port, *office});
    }
    auto priority = kFirstOtherPriority;
    for (const auto* other : others) {
        if (const auto office = mesh.child(other->label)) {
            add(name, Type::srv, kVoiceTtlS, Srv{priority++, kWeight, other->*office_port, *office});
        }
    }
}

const Name* Zones::apex_of(const Name& name) const {
    for (auto count = std::min(name.labels().size(), most_apex_labels_); count > 0; --count) {
        if (const auto found = apexes_.find(name.last(count)); found != apexes_.end()) return &*found;
    }
    return nullptr;
}

bool Zones::has_below(const Name& name) const {
    const auto next = records_.upper_bound(name);
    return next != records_.end() && next->first.is_within(name);
}

const Numbers& Zones::numbers() const {
    static const Numbers kNone;
    return contents_.numbers ? *contents_.numbers : kNone;
}

std::optional<std::string> Zones::digits_of(const Name& name) const {
    for (const auto& suffix : suffixes_) {
        const auto depth = suffix.labels().size();
        if (!name.is_within(suffix) || name.labels().size() > depth + kMaxE164Digits) continue;
        std::string digits;
        bool fits = true;
        for (auto i = depth; i < name.labels().size() && fits; ++i) {
            const auto& label = name.labels()[i];
            fits = label.size() == 1 && label[0] >= '0' && label[0] <= '9';
            digits += label;
        }
        if (fits) return digits;
    }
    return std::nullopt;
}

std::optional<Record> Zones::number(const Name& name, const std::string& digits) const {
    const auto& all = numbers();
    const auto found = std::lower_bound(all.begin(), all.end(), digits,
                                        [](const auto& entry, const auto& wanted) { return entry.first < wanted; });
    if (found == all.end() || found->first != digits) return std::nullopt;
    auto regexp = whole_number_to(found->second);
    if (!regexp) return std::nullopt;
    return Record{name, Type::naptr, kNodeTtlS, Naptr{100, 10, "u", "E2U+sip", std::move(*regexp), Name()}};
}

bool Zones::has_number_from(const std::string& digits) const {
    const auto& all = numbers();
    const auto next = std::lower_bound(all.begin(), all.end(), digits,
                                       [](const auto& entry, const auto& wanted) { return entry.first < wanted; });
    return digits.empty() || (next != all.end() && next->first.starts_with(digits));
}

Record Zones::soa(const Name& apex) const {
    const auto mesh = Name::parse(contents_.mesh).value_or(Name());
    return {apex, Type::soa, kNegativeTtlS,
            Soa{server().value_or(mesh), mesh.child("hostmaster").value_or(mesh), contents_.serial}};
}

std::optional<Name> Zones::server() const {
    const auto mesh = Name::parse(contents_.mesh);
    const auto self = mesh ? mesh->child(contents_.self) : std::nullopt;
    return self ? self->child("ns") : std::nullopt;
}

std::vector<net::IpAddress> Zones::reached_at(const net::IpAddress& here) const {
    if (here.is_none()) return {};
    if (!here.is_loopback()) return {here};
    const auto self = std::find_if(contents_.hosts.begin(), contents_.hosts.end(),
                                   [&](const auto& host) { return host.label == contents_.self; });
    return self == contents_.hosts.end() ? std::vector<net::IpAddress>() : self->addresses;
}

std::vector<Record> Zones::all(const Name& name) const {
    std::vector<Record> out;
    if (const auto found = records_.find(name); found != records_.end()) out = found->second;
    if (const auto digits = digits_of(name)) {
        if (auto record = number(name, *digits)) out.push_back(std::move(*record));
    }
    return out;
}

Found Zones::find(const Name& name, Type type, const net::IpAddress& asked_at, bool numbers) const {
    Found out;
    const auto* apex = apex_of(name);
    if (apex == nullptr && (name != outside_domain_ || type != Type::naptr)) return out;
    const auto digits = digits_of(name);
    if (!numbers && digits && !digits->empty()) return out;
    const auto here = reached_at(asked_at);
    const auto there = all(name);
    if (type == Type::any) {
        // RFC 8482 section 4.1: one of the sets is enough.
        for (const auto& record : there) {
            collect(there, record.type, here, out.records);
            if (!out.records.empty()) break;
        }
    } else {
        collect(there, type, here, out.records);
    }
    if (!out.records.empty()) {
        out.kind = Found::Kind::records;
        for (const auto& record : out.records) {
            const auto* srv = std::get_if<Srv>(&record.data);
            const auto* server = record.type == Type::ns ? std::get_if<Name>(&record.data) : nullptr;
            const auto* target = srv != nullptr ? &srv->target : server;
            const auto found = target == nullptr ? records_.end() : records_.find(*target);
            if (found == records_.end()) continue;
            collect(found->second, Type::a, here, out.additional);
            collect(found->second, Type::aaaa, here, out.additional);
        }
        return out;
    }
    const bool exists = !there.empty() || has_below(name) || (digits && has_number_from(*digits));
    out.kind = exists ? Found::Kind::no_data : Found::Kind::no_name;
    if (apex != nullptr) out.soa = soa(*apex);
    return out;
}

}  // namespace dns
