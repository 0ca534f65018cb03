#include "voice/registrar.hpp"

#include <algorithm>

#include "voice/overload.hpp"

namespace voice {

namespace {

constexpr std::uint32_t kDefaultExpires = 3600;

bool same_flow(const Flow& a, const Flow& b) {
    if (a.transport != b.transport) return false;
    return a.transport == Transport::udp ? a.remote == b.remote : a.remote.address == b.remote.address;
}

std::string instance_of(const NameAddr& contact) {
    const auto instance = contact.params.get("+sip.instance");
    return instance ? std::string(*instance) + std::string(contact.params.get("reg-id").value_or("")) : std::string();
}

bool removes(const Message& request, const NameAddr& contact) {
    return contact.star || Registrar::asked_expires_s(request, contact) == 0;
}

}  // namespace

std::uint32_t Registrar::asked_expires_s(const Message& request, const NameAddr& contact) {
    if (const auto own = contact.expires_s()) return *own;
    return request.expires_s().value_or(kDefaultExpires);
}

const Binding* Registrar::binding_of(const Exchange& exchange, const Aor& aor, const NameAddr& contact) {
    if (const auto* same = exchange.location.find(aor, contact.uri)) return same;
    const auto instance = instance_of(contact);
    if (instance.empty()) return nullptr;
    for (const auto* binding : exchange.location.of(aor)) {
        if (instance_of(binding->contact) == instance) return binding;
    }
    return nullptr;
}

Message Registrar::serve(const Message& request, const Flow& flow, net::Now now) {
    return with_password(request, flow, exchange_.settings.expires, now);
}

Message Registrar::outage(const Message& request, const Flow& flow, net::Now now, std::chrono::seconds later) {
    const auto soon = exchange_.settings.outage_expires;
    const auto most = std::max(soon, std::min(soon + later, exchange_.settings.expires));
    if (same_devices(request, flow, now)) return done(apply(request, flow, most, false, now), request, flow, now);
    if (credentials_.provisioned(request.to().uri.address_of_record())) return with_password(request, flow, most, now);
    if (exchange_.centre_busy()) return done(503, request, flow, now);  // it may well know this device
    ++exchange_.counters.forged;
    return reply(request, 403, "Unknown device, and the centre is away");
}

std::optional<Message> Registrar::refresh(const Message& request, const Flow& flow, net::Now now) {
    const auto aor = request.to().uri.address_of_record();
    const auto contacts = request.contacts();
    if (contacts.empty() || !same_devices(request, flow, now)) return std::nullopt;
    for (const auto& contact : contacts) {
        const auto* binding = exchange_.location.find(aor, contact.uri);
        if (removes(request, contact) || binding == nullptr) return std::nullopt;
        if (binding->centre_lapses != exchange_.monitor->lapses()) return std::nullopt;
        if (binding->centre_expires - now.steady < 2 * exchange_.settings.expires) return std::nullopt;
    }
    const auto status = apply(request, flow, exchange_.settings.expires, false, now);
    if (status != 200) return std::nullopt;
    return done(status, request, flow, now);
}

bool Registrar::brings_back(const Message& request, const Flow& flow, net::Now now) const {
    const auto contacts = request.contacts();
    if (contacts.empty() || !same_devices(request, flow, now)) return false;
    return std::all_of(contacts.begin(), contacts.end(), [&](const auto& contact) {
        const auto* binding = exchange_.location.find(request.to().uri.address_of_record(), contact.uri);
        return !removes(request, contact) && binding != nullptr &&
               binding->centre_lapses != exchange_.monitor->lapses();
    });
}

bool Registrar::same_devices(const Message& request, const Flow& flow, net::Now now) const {
    const auto aor = request.to().uri.address_of_record();
    const auto vouched = [&](const Binding* binding) {
        return binding != nullptr && same_flow(binding->flow, flow) &&
               now.steady - binding->confirmed <= exchange_.settings.grace;
    };
    const auto contacts = request.contacts();
    if (contacts.empty() || contacts.front().star) {  // a fetch, or the end of all: what is there must be this device's
        const auto bindings = exchange_.location.of(aor);
        return !bindings.empty() && std::all_of(bindings.begin(), bindings.end(), vouched);
    }
    return std::all_of(contacts.begin(), contacts.end(),
                       [&](const auto& contact) { return vouched(exchange_.location.find(aor, contact.uri)); });
}

Message Registrar::with_password(const Message& request, const Flow& flow, std::chrono::seconds most, net::Now now) {
    const auto aor = request.to().uri.address_of_record();
    if (auto refusal = credentials_.refusal(request, aor, Credentials::Asker::registrar, now)) return std::move(*refusal);
    return done(apply(request, flow, most, true, now), request, flow, now);
}

int Registrar::apply(const Message& request, const Flow& flow, std::chrono::seconds most, bool vouched, net::Now now) {
    auto& location = exchange_.location;
    const auto aor = request.to().uri.address_of_record();
    const auto contacts = request.contacts();
    const auto cseq = request.cseq().number;
    const auto is_old = [&](const Binding& b) { return b.call_id == request.call_id() && cseq <= b.cseq; };

    // Judged as a whole before anything changes (10.3 steps 6 and 7).
    if (std::any_of(contacts.begin(), contacts.end(), [](const auto& c) { return c.star; })) {
        if (contacts.size() != 1 || request.expires_s() != 0U) return 400;
        const auto all = location.of(aor);
        if (std::any_of(all.begin(), all.end(), [&](const auto* b) { return is_old(*b); })) return 500;
        std::vector<std::string> tokens;
        for (const auto* binding : all) tokens.push_back(binding->token);
        for (const auto& token : tokens) location.remove(token, now);
        return 200;
    }
    for (const auto& contact : contacts) {
        if (!contact.uri.is_sip()) return 400;
        const auto* old = location.find(aor, contact.uri);
        if (old != nullptr && is_old(*old)) return 500;
    }
    for (const auto& contact : contacts) {
        const auto* old = binding_of(exchange_, aor, contact);
        if (removes(request, contact)) {
            if (old != nullptr) location.remove(std::string(old->token), now);
            continue;
        }
        auto binding = old != nullptr ? *old : Binding{};
        if (old == nullptr) {
            binding.aor = aor;
            binding.token = exchange_.new_token();
            binding.since = now;
            binding.centre_lapses = UINT64_MAX;
        }
        binding.contact = contact;
        binding.flow = flow;
        binding.flow_lost = false;
        binding.path = request.addresses("Path");
        binding.call_id = request.call_id();
        binding.cseq = cseq;
        binding.expires = now.steady + std::min(std::chrono::seconds(asked_expires_s(request, contact)), most) + kRefreshSlack;
        if (vouched) binding.confirmed = now.steady;
        if (!location.put(std::move(binding), now)) return 503;
    }
    return 200;
}

void Registrar::confirm_flow(const Message& request, const Flow& flow, Message& response) {
    response.set_addresses("Path", request.addresses("Path"));
    const auto contacts = request.contacts();
    const bool keeps = std::any_of(contacts.begin(), contacts.end(), Location::keeps_flow);
    // Over UDP it would have to be kept alive by STUN, which nobody answers here.
    if (keeps && flow.reliable() && request.via_count() == 1 && request.lists("Supported", "outbound")) {
        response.set("Require", "outbound");
    }
}

Message Registrar::listing(const Message& request, const Aor& aor, net::Now now) const {
    auto response = reply(request, 200);
    std::vector<NameAddr> contacts;
    for (const auto* binding : exchange_.location.of(aor)) {
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(binding->expires - kRefreshSlack - now.steady);
        auto contact = binding->contact;
        contact.params.set("expires", std::to_string(std::max<std::int64_t>(left.count(), 1)));
        contacts.push_back(std::move(contact));
    }
    response.set_contacts(contacts);
    return response;
}

Message Registrar::reply(const Message& request, int status, std::string_view phrase) const {
    return Message::response(request, status, phrase, exchange_.transactions.make_tag());
}

Message Registrar::done(int status, const Message& request, const Flow& flow, net::Now now) const {
    if (status == 200) {
        auto response = listing(request, request.to().uri.address_of_record(), now);
        confirm_flow(request, flow, response);
        return response;
    }
    auto response = reply(request, status);
    if (status == 503) response.set("Retry-After", retry_after(exchange_.random, 30, 60));
    return response;
}

}  // namespace voice
