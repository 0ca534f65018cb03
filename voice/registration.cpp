#include "voice/registration.hpp"

#include <algorithm>
#include <set>

namespace voice {

namespace {

constexpr auto kAnswersChallenge = std::chrono::seconds(5);
/// A REGISTER that nothing has answered for so long, while OPTIONS are: four transmissions.
constexpr auto kPatience = std::chrono::seconds(5);

/// Options that are about the phone's own Contact, which the centre does not see.
void hide_options(Message& request) {
    std::string rest;
    for (const auto line : request.get_all("Supported")) {
        for (const auto option : split_list(line)) {
            if (option == "gruu" || option == "outbound" || option == "path") continue;
            rest += (rest.empty() ? "" : ", ") + std::string(option);
        }
    }
    request.remove("Supported");
    if (!rest.empty()) request.set("Supported", rest);
}

}  // namespace

void Registration::arrived(const RequestArrived& event, net::Now now) {
    if (event.flow.side != Side::phone) return exchange_.answer(event.id, 403, now);
    const auto& request = event.message;
    auto& transactions = exchange_.transactions;
    if (!exchange_.monitor) {
        transactions.respond(event.id, registrar_.serve(request, event.flow, now), now);
        return;
    }
    if (!exchange_.centre_up()) {
        transactions.respond(event.id, registrar_.outage(request, event.flow, now), now);
        return;
    }
    if (const auto local = registrar_.refresh(request, event.flow, now)) {
        transactions.respond(event.id, *local, now);
        return;
    }
    if (exchange_.centre_busy()) {
        transactions.respond(event.id, registrar_.outage(request, event.flow, now), now);
        return;
    }
    if (!admit(request, event.flow, now)) {
        transactions.respond(event.id, registrar_.outage(request, event.flow, now, turn(now)), now);
        return;
    }
    Fork fork(event.id, request, event.flow, this);
    fork.request.remove("Route");
    fork.patience = now.steady + kPatience;
    forking_.open(std::move(fork), {Target{Path::central, exchange_.to_centre(), request.uri(), {}, {}}}, 503, now);
}

bool Registration::admit(const Message& request, const Flow& flow, net::Now now) {
    if (!registrar_.brings_back(request, flow, now)) return true;
    // The same phone's answer to a challenge.
    const auto known = admitted_.find(std::string(request.call_id()));
    if (known != admitted_.end() && now.steady < known->second) return true;
    const double rate = exchange_.settings.refreshes_per_second;
    admissions_ = std::min(rate, admissions_ + rate * std::chrono::duration<double>(now.steady - admitted_at_).count());
    admitted_at_ = now.steady;
    if (admissions_ < 1) return false;
    admissions_ -= 1;
    std::erase_if(admitted_, [&](const auto& entry) { return entry.second <= now.steady; });
    admitted_[std::string(request.call_id())] = now.steady + kAnswersChallenge;
    return true;
}

std::chrono::seconds Registration::turn(net::Now now) {
    const auto& settings = exchange_.settings;
    const auto room = settings.expires - settings.outage_expires;
    last_turn_ = std::max(last_turn_, now.steady) + std::chrono::nanoseconds(std::chrono::seconds(1)) / std::max(1U, settings.refreshes_per_second);
    // Phones come again when half to nine tenths of their time is over.
    const auto later = std::chrono::ceil<std::chrono::seconds>(2 * (last_turn_ - now.steady));
    if (later >= room) last_turn_ = now.steady;  // the next ones share the turns of the first
    return later;
}

bool Registration::shape(Fork& fork, const Target& target, Message& request, net::Now) {
    const auto aor = request.to().uri.address_of_record();
    const auto local = exchange_.local_toward(target.flow);
    auto contacts = request.contacts();
    auto& offered = offered_[fork.id];
    for (auto& contact : contacts) {
        if (contact.star) continue;
        const auto* known = Registrar::binding_of(exchange_, aor, contact);
        auto token = known != nullptr ? known->token : exchange_.new_token();
        offered.push_back({contact, token});
        contact.uri = contact_uri(token, local, target.flow.transport);
    }
    if (!contacts.empty()) request.set_contacts(contacts);
    request.remove("Path");  // it leads from us to the phone
    hide_options(request);
    return true;
}

std::vector<Target> Registration::spare(Fork& fork, net::Now now) {
    // There is no other way, but a front proxy whose back end is gone shows itself here.
    const bool silent = !fork.branches.empty() && fork.branches.front().status == 0;
    if (silent && exchange_.monitor && exchange_.monitor->answered_since(now.steady - kPatience)) {
        exchange_.monitor->request_failed(now);
    }
    return {};
}

void Registration::heard(Fork&, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
                         net::Now now) {
    judge_centre(exchange_, branch, status, retry_after_s, now);
}

void Registration::passing(Fork& fork, const Branch&, Message& response, net::Now now) {
    if (is_outage(response.status())) {
        auto ours = registrar_.outage(fork.request, fork.from, now);
        if (ours.status() != 403 || !exchange_.centre_up()) response = std::move(ours);
        return;
    }
    if (response.status() == 200) learn(fork, response, now);
}

void Registration::learn(const Fork& fork, Message& response, net::Now now) {
    auto& location = exchange_.location;
    const auto& request = fork.request;
    const auto aor = request.to().uri.address_of_record();
    const auto& offered = offered_[fork.id];
    const auto default_s = response.expires_s().value_or(request.expires_s().value_or(3600));

    auto contacts = response.contacts();
    std::set<std::string> listed;
    std::erase_if(contacts, [](const auto& contact) { return contact.star; });
    for (auto& contact : contacts) {
        // By its token alone: a centre may have written in the address that it sees behind a NAT.
        const auto token = contact.uri.user;
        const auto offer =
            std::find_if(offered.begin(), offered.end(), [&](const auto& o) { return o.token == token; });
        const auto* known = location.by_token(token);
        if (offer == offered.end() && (known == nullptr || known->aor != aor)) continue;  // another's
        listed.insert(token);
        const auto granted = std::chrono::seconds(contact.expires_s().value_or(default_s));
        auto shown = offer != offered.end() ? offer->contact : known->contact;
        auto told = std::min(granted, exchange_.settings.expires);
        if (offer != offered.end() && granted.count() > 0) {
            auto binding = known != nullptr ? *known : Binding{};
            if (known == nullptr) binding.since = now;
            binding.aor = aor;
            binding.contact = offer->contact;
            binding.token = token;
            binding.flow = fork.from;
            binding.flow_lost = false;
            binding.path = request.addresses("Path");
            binding.call_id = request.call_id();
            binding.cseq = request.cseq().number;
            binding.expires = now.steady + told + kRefreshSlack;
            binding.centre_expires = now.steady + granted;
            binding.centre_lapses = exchange_.monitor->lapses();
            binding.confirmed = now.steady;
            location.put(std::move(binding), now);
        } else if (known != nullptr) {
            told = std::chrono::duration_cast<std::chrono::seconds>(known->expires - kRefreshSlack - now.steady);
        }
        contact.uri = shown.uri;
        contact.display = shown.display;
        contact.params = shown.params;
        contact.params.set("expires", std::to_string(std::max<std::int64_t>(told.count(), 1)));
    }
    // What the phone took back is gone; what the centre has forgotten is brought again at the next refresh.
    const auto asked = request.contacts();
    const bool all = std::any_of(asked.begin(), asked.end(), [](const auto& contact) { return contact.star; });
    std::vector<Binding> missing;
    for (const auto* binding : location.of(aor)) {
        if (!listed.contains(binding->token)) missing.push_back(*binding);
    }
    for (auto& binding : missing) {
        const bool mine =
            std::any_of(offered.begin(), offered.end(), [&](const auto& o) { return o.token == binding.token; });
        if (all || mine) {
            location.remove(binding.token, now);
        } else {
            binding.centre_lapses = UINT64_MAX;
            location.put(std::move(binding), now);
        }
    }
    if (!contacts.empty()) response.set_contacts(contacts);
    if (response.has("Expires")) {
        const auto most = static_cast<std::uint32_t>(exchange_.settings.expires.count());
        response.set_expires_s(std::min(*response.expires_s(), most));
    }
    response.remove("Service-Route");
    Registrar::confirm_flow(request, fork.from, response);
}

void Registration::ended(Fork& fork, int, net::Now) {
    offered_.erase(fork.id);
}

}  // namespace voice
