#include "voice/trunks.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "voice/trunk_offer.hpp"

namespace voice {

struct Trunks::Trunk {
    TrunkSettings settings;
    State state = State::locating;
    std::string why;
    net::Now since;
    std::vector<Hop> hops;
    std::size_t hop = 0;  ///< the one that is in use
    NameQuery query = 0;
    net::Steady locate_at{};
    ClientId pending = 0;
    net::Steady give_up = net::kNever;
    net::Steady ask_at = net::kNever;
    net::Steady register_at{};  ///< from then on it is REGISTER that asks
    net::Steady registered_until{};
    net::Duration retry_after = kRetryFirst;
    std::uint32_t wanted_s = kRegisterFor_s;
    std::string call_id, tag;
    std::uint32_t cseq = 0;
    unsigned tries = 0;  ///< with credentials, of the REGISTER that is under way

    bool usable() const { return state != State::failing && !hops.empty() && (!settings.registers || state == State::up); }
    std::string domain() const { return settings.from ? settings.from->host : settings.server.host; }
    Uri account() const {
        Uri uri;
        uri.user = escape_user(settings.user);
        uri.host = domain();
        return uri;
    }
};

Trunks::Trunks(Exchange& exchange) : exchange_(exchange) {
    for (const auto& settings : exchange.settings.trunks) {
        auto trunk = std::make_unique<Trunk>();
        trunk->settings = settings;
        for (const auto& network : settings.inbound_from) exchange.gateways.networks.emplace_back(network, settings.name);
        trunks_.push_back(std::move(trunk));
    }
}
Trunks::~Trunks() = default;

const Trunks::Trunk* Trunks::find(std::string_view name) const {
    const auto at = std::find_if(trunks_.begin(), trunks_.end(), [&](const auto& t) { return t->settings.name == name; });
    return at == trunks_.end() ? nullptr : at->get();
}

// How they are.

void Trunks::tick(net::Now now) {
    for (auto& trunk : trunks_) {
        if (trunk->query == 0 && trunk->locate_at <= now.steady) locate(*trunk, now);
        if (trunk->pending != 0 && trunk->give_up <= now.steady) {
            exchange_.transactions.abandon(trunk->pending);
            fail(*trunk, "it does not answer", now);
        }
        if (trunk->pending == 0 && trunk->ask_at <= now.steady) ask(*trunk, now);
    }
}

net::Steady Trunks::next_deadline() const {
    auto next = net::kNever;
    for (const auto& trunk : trunks_) {
        if (trunk->query == 0) next = std::min(next, trunk->locate_at);
        next = std::min(next, trunk->pending != 0 ? trunk->give_up : trunk->ask_at);
    }
    return next;
}

void Trunks::locate(Trunk& trunk, net::Now now) {
    trunk.locate_at = now.steady + kLocateEvery;
    trunk.query = exchange_.names.find_uri(trunk.settings.server, now);
}

bool Trunks::found(const NameFound& found, net::Now now) {
    const auto at = std::find_if(trunks_.begin(), trunks_.end(), [&](const auto& t) { return t->query == found.id; });
    if (at == trunks_.end()) return false;
    auto& trunk = **at;
    trunk.query = 0;
    auto hops = found.leads.empty() ? std::vector<Hop>() : found.leads.front().at.hops;
    if (hops.empty()) {
        trunk.locate_at = now.steady + kRetryFirst;
        if (trunk.hops.empty()) fail(trunk, found.leads.empty() ? "nothing is known of it" : found.leads.front().at.why, now);
        return true;
    }
    if (hops.size() > kMaxServers) hops.resize(kMaxServers);
    if (hops == trunk.hops) return true;
    trunk.hops = std::move(hops);
    trunk.hop = 0;
    auto& servers = exchange_.gateways.servers;
    std::erase_if(servers, [&](const auto& known) { return known.second.trunk == trunk.settings.name; });
    for (const auto& hop : trunk.hops) servers[hop.endpoint] = {trunk.settings.name, trunk.settings.server.host};
    trunk.register_at = {};
    trunk.ask_at = now.steady;
    if (trunk.state == State::locating) trunk.state = State::asking;
    return true;
}

void Trunks::ask(Trunk& trunk, net::Now now) {
    if (trunk.hops.empty()) {
        trunk.ask_at = net::kNever;  // until its name leads somewhere
        return;
    }
    const bool registers = trunk.settings.registers && trunk.register_at <= now.steady;
    const std::string method = registers ? "REGISTER" : "OPTIONS";
    const auto& hop = trunk.hops[trunk.hop];
    const auto flow = exchange_.flow_to(hop.endpoint, hop.transport, Side::trunk);
    if (trunk.call_id.empty()) {
        trunk.call_id = exchange_.new_token();
        trunk.tag = exchange_.transactions.make_tag();
    }
    auto request = Message::request(method, trunk.settings.server);
    auto from = NameAddr::of(trunk.account());
    if (from.uri.user.empty()) from.uri.user = "meshd";
    request.set_to(registers ? from : NameAddr::of(trunk.settings.server));
    from.params.set("tag", trunk.tag);
    request.set_from(from);
    request.set("Call-ID", registers ? trunk.call_id : trunk.call_id + "-o");
    request.set("CSeq", CSeq{++trunk.cseq, method}.text());
    if (registers) {
        request.set_contacts({NameAddr::of(contact_uri("trunk-" + trunk.settings.name, exchange_.local_toward(flow), flow.transport))});
        request.set_expires_s(trunk.wanted_s);
    }
    trunk.tries = 0;
    trunk.ask_at = net::kNever;
    trunk.give_up = now.steady + kAnswerWithin;
    trunk.pending = exchange_.transactions.start(std::move(request), flow, exchange_.sent_by(flow), now);
    if (trunk.pending == 0) fail(trunk, "there is too much to do here", now);
}

bool Trunks::response(const ResponseArrived& event, net::Now now) {
    const auto at = std::find_if(trunks_.begin(), trunks_.end(), [&](const auto& t) { return t->pending == event.id; });
    if (at == trunks_.end()) return false;
    if (event.message.status() < 200) return true;
    answered(**at, event.message, now);
    return true;
}

bool Trunks::failed(ClientId id, std::string_view why, net::Now now) {
    const auto at = std::find_if(trunks_.begin(), trunks_.end(), [&](const auto& t) { return t->pending == id; });
    if (at == trunks_.end()) return false;
    fail(**at, std::string(why), now);
    return true;
}

void Trunks::answered(Trunk& trunk, const Message& response, net::Now now) {
    const auto* sent = exchange_.transactions.request_of_client(trunk.pending);
    const auto status = response.status();
    if (response.method() != "REGISTER") {
        // Whatever it says to OPTIONS, it is there: unless it says that it can do nothing.
        if (status == 408 || (status >= 500 && status != 501 && status < 600)) {
            return fail(trunk, std::to_string(status) + " to OPTIONS", now);
        }
        return good(trunk, now);
    }
    if (status < 300) return registered(trunk, response, now);
    if ((status == 401 || status == 407) && sent != nullptr && trunk.tries < 2) {
        const auto known = proof(trunk, response, "REGISTER", sent->uri());
        const bool stale = trunk.tries == 0 || net::to_lower(response.to_text()).find("stale=true") != std::string::npos;
        if (known && stale) {
            auto again = *sent;
            again.pop_via();
            again.set("CSeq", CSeq{++trunk.cseq, "REGISTER"}.text());
            again.set(known->first, known->second);
            const auto& hop = trunk.hops[trunk.hop];
            const auto flow = exchange_.flow_to(hop.endpoint, hop.transport, Side::trunk);
            ++trunk.tries;
            trunk.give_up = now.steady + kAnswerWithin;
            trunk.pending = exchange_.transactions.start(std::move(again), flow, exchange_.sent_by(flow), now);
            if (trunk.pending == 0) fail(trunk, "there is too much to do here", now);
            return;
        }
    }
    if (status == 423) {  // RFC 3261 section 10.2.8
        const auto least = net::parse_decimal(response.get("Min-Expires").value_or(""), 86400);
        if (least && *least > trunk.wanted_s) trunk.wanted_s = static_cast<std::uint32_t>(*least);
    }
    const auto phrase = status == 401 || status == 407 ? "wrong user or password" : std::string(reason_phrase(status));
    fail(trunk, "REGISTER was refused: " + std::to_string(status) + " " + phrase, now);
}

void Trunks::registered(Trunk& trunk, const Message& response, net::Now now) {
    auto granted = response.expires_s().value_or(trunk.wanted_s);
    const auto ours = "trunk-" + trunk.settings.name;
    for (const auto& contact : response.contacts()) {
        if (contact.uri.user == ours) granted = contact.expires_s().value_or(granted);
    }
    const auto span = std::chrono::seconds(std::clamp<std::uint32_t>(granted, 15, 86400));
    trunk.registered_until = now.steady + span;
    trunk.register_at = now.steady + span * 2 / 3;
    good(trunk, now);
}

void Trunks::good(Trunk& trunk, net::Now now) {
    trunk.pending = 0;
    trunk.give_up = net::kNever;
    trunk.retry_after = kRetryFirst;
    trunk.ask_at = now.steady + kAskEvery;
    if (trunk.settings.registers) trunk.ask_at = std::min(trunk.ask_at, trunk.register_at);
    if (trunk.settings.registers && trunk.registered_until <= now.steady) {
        trunk.register_at = trunk.ask_at = now.steady;
        return;
    }
    if (trunk.state == State::up) return;
    trunk.state = State::up;
    trunk.why = "";
    trunk.since = now;
    tell(trunk);
}

void Trunks::fail(Trunk& trunk, std::string why, net::Now now) {
    trunk.pending = 0;
    trunk.give_up = net::kNever;
    trunk.register_at = {};  // whatever it was, it may have forgotten us
    trunk.registered_until = {};
    trunk.ask_at = now.steady + trunk.retry_after;
    trunk.retry_after = std::min<net::Duration>(2 * trunk.retry_after, kRetryMost);
    if (!trunk.hops.empty()) trunk.hop = (trunk.hop + 1) % trunk.hops.size();
    const bool news = trunk.state != State::failing || trunk.why != why;
    if (trunk.state != State::failing) trunk.since = now;
    trunk.state = State::failing;
    trunk.why = std::move(why);
    if (news) tell(trunk);
}

void Trunks::tell(const Trunk& trunk) {
    exchange_.events.emplace_back(TrunkChanged{trunk.settings.name, trunk.state == State::up, trunk.why});
}

void Trunks::judge(const Branch& branch, int status, net::Now now) {
    if (branch.target.path != Path::trunk || branch.status > 100) return;
    for (auto& trunk : trunks_) {
        if (trunk->settings.name != branch.target.trunk || (status != 408 && status != 503)) continue;
        const auto& hops = trunk->hops;
        if (!hops.empty() && hops[trunk->hop].endpoint != branch.target.flow.remote) return;  // another of its addresses
        if (trunk->pending != 0) exchange_.transactions.abandon(trunk->pending);
        fail(*trunk, status == 408 ? "it did not answer a call" : "503 to a call", now);
    }
}

std::vector<TrunkView> Trunks::views(net::Now now) const {
    std::vector<TrunkView> out;
    for (const auto& trunk : trunks_) {
        TrunkView view;
        view.name = trunk->settings.name;
        view.server = trunk->settings.server.text();
        view.at = trunk->hops.empty() ? "" : trunk->hops[trunk->hop].endpoint.text();
        switch (trunk->state) {
            case State::locating: view.state = "locating"; break;
            case State::asking: view.state = "asking"; break;
            case State::up: view.state = trunk->settings.registers ? "registered" : "up"; break;
            case State::failing: view.state = "failing"; break;
        }
        view.why = trunk->why;
        view.since = trunk->since;
        view.prefixes = trunk->settings.prefixes;
        view.cost = trunk->settings.cost;
        view.emergency = trunk->settings.emergency;
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(trunk->registered_until - now.steady);
        view.registered_for = std::max(left, std::chrono::seconds(0));
        out.push_back(std::move(view));
    }
    return out;
}

std::vector<TrunkOffer> Trunks::offers() const {
    std::vector<TrunkOffer> out;
    for (const auto& trunk : trunks_) {
        if (!trunk->usable()) continue;
        const auto& s = trunk->settings;
        out.push_back({s.name, s.prefixes, s.cost, s.emergency && !exchange_.settings.emergency.empty()});
    }
    return out;
}

// Where numbers go.

std::vector<Target> Trunks::by_own(const Trunk& trunk, const std::string& user, GiveWay gives_way) const {
    std::vector<Target> out;
    auto uri = trunk.settings.server;
    uri.user = escape_user(user);
    for (std::size_t i = 0; i < trunk.hops.size(); ++i) {
        const auto& hop = trunk.hops[(trunk.hop + i) % trunk.hops.size()];
        Target target{Path::trunk, exchange_.flow_to(hop.endpoint, hop.transport, Side::trunk), uri, {}, {}};
        target.trunk = trunk.settings.name;
        target.gives_way = gives_way;
        out.push_back(std::move(target));
    }
    return out;
}

Target Trunks::by_other(const RemoteTrunk& other, std::string_view number) const {
    auto uri = *Uri::parse("sip:" + escape_user(number) + "@" + exchange_.settings.domain);
    return {Path::mesh, exchange_.to_node(other.node).value_or(Flow{}), uri, {}, {}};
}

std::vector<Target> Trunks::ways(std::string_view number) const {
    struct Way {
        std::size_t covers;
        unsigned cost;
        net::Duration round_trip;
        std::vector<Target> targets;
    };
    std::vector<Way> good;
    std::vector<Target> doubtful;
    for (const auto& trunk : trunks_) {
        const auto covers = covered(trunk->settings.prefixes, number);
        if (covers == 0) continue;
        auto targets = by_own(*trunk, written_for(trunk->settings, number, exchange_.settings.dial_plan.settings()), GiveWay::trouble);
        if (trunk->usable()) {
            good.push_back({covers, trunk->settings.cost, net::Duration(-1), std::move(targets)});
        } else {
            doubtful.insert(doubtful.end(), targets.begin(), targets.end());
        }
    }
    for (const auto& other : exchange_.directory().trunks()) {
        const auto covers = covered(other.offer.prefixes, number);
        if (covers == 0 || !is_sound(other.offer) || !exchange_.to_node(other.node)) continue;
        auto target = by_other(other, number);
        target.uri.params.set(kTrunkParam, other.offer.name);
        target.gives_way = GiveWay::trouble;
        good.push_back({covers, other.offer.cost, other.round_trip, {std::move(target)}});
    }
    std::stable_sort(good.begin(), good.end(), [](const Way& a, const Way& b) {
        return std::tie(b.covers, a.cost, a.round_trip) < std::tie(a.covers, b.cost, b.round_trip);
    });
    std::vector<Target> out;
    for (const auto& way : good) out.insert(out.end(), way.targets.begin(), way.targets.end());
    out.insert(out.end(), doubtful.begin(), doubtful.end());
    return out;
}

std::vector<Target> Trunks::own_ways(std::string_view number, std::string_view name) const {
    std::vector<Target> out;
    const auto add = [&](const Trunk& trunk) {
        if (covered(trunk.settings.prefixes, number) == 0) return;
        const auto user = written_for(trunk.settings, number, exchange_.settings.dial_plan.settings());
        for (auto& target : by_own(trunk, user, GiveWay::trouble)) out.push_back(std::move(target));
    };
    if (const auto* named = find(name)) add(*named);
    for (const auto& trunk : trunks_) {
        if (trunk->settings.name != name) add(*trunk);
    }
    return out;
}

std::vector<Target> Trunks::own_help(std::string_view number) const {
    std::vector<const Trunk*> order;
    for (const auto& trunk : trunks_) {
        if (trunk->settings.emergency) order.push_back(trunk.get());
    }
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
        return std::pair(!a->usable(), a->settings.cost) < std::pair(!b->usable(), b->settings.cost);
    });
    std::vector<Target> out;
    for (const auto* trunk : order) {
        for (auto& target : by_own(*trunk, std::string(number), GiveWay::refusal)) out.push_back(std::move(target));
    }
    return out;
}

std::vector<Target> Trunks::help(std::string_view number) const {
    auto out = own_help(number);
    auto others = exchange_.directory().trunks();
    std::erase_if(others, [&](const auto& other) { return !other.offer.emergency || !is_sound(other.offer) || !exchange_.to_node(other.node); });
    std::stable_sort(others.begin(), others.end(), [](const auto& a, const auto& b) {
        return std::tie(a.offer.cost, a.round_trip) < std::tie(b.offer.cost, b.round_trip);
    });
    for (const auto& other : others) {
        auto target = by_other(other, number);
        target.uri.params.set(kEmergencyParam);
        target.gives_way = GiveWay::refusal;
        out.push_back(std::move(target));
    }
    return out;
}

// What gateways see.

std::optional<std::pair<std::string, std::string>> Trunks::proof(const Trunk& trunk, const Message& refusal,
                                                                 std::string_view method, const Uri& uri) const {
    const auto& s = trunk.settings;
    if (s.user.empty() || s.password.view().empty()) return std::nullopt;
    const bool proxy = refusal.status() == 407;
    for (const auto challenge : refusal.get_all(proxy ? "Proxy-Authenticate" : "WWW-Authenticate")) {
        const auto realm = digest_realm(challenge);
        if (!realm || (!s.realm.empty() && *realm != s.realm)) continue;
        if (auto value = digest_answer(challenge, s.user, s.password.view(), method, uri.text(), exchange_.random)) {
            return std::pair(std::string(proxy ? "Proxy-Authorization" : "Authorization"), std::move(*value));
        }
    }
    return std::nullopt;
}

std::optional<Target> Trunks::again(const Branch& branch, const Message& refusal) {
    if (branch.target.path != Path::trunk || (refusal.status() != 401 && refusal.status() != 407)) return std::nullopt;
    const auto* trunk = find(branch.target.trunk);
    if (trunk == nullptr || !branch.target.proof.empty()) return std::nullopt;
    const auto known = proof(*trunk, refusal, refusal.method(), branch.target.uri);
    if (!known) return std::nullopt;
    auto target = branch.target;
    target.proof_header = known->first;
    target.proof = known->second;
    return target;
}

void Trunks::dress(Call& call, const Target& target, const Aor& caller, bool believed, Message& request) const {
    const auto* trunk = find(target.trunk);
    if (trunk == nullptr) return;
    if (!call.gateway || call.gateway->trunk != target.trunk) {
        std::string number = trunk->settings.caller_id;
        if (believed) {
            for (const auto& own : exchange_.directory().numbers_of(caller)) {
                if (!own.starts_with('+')) continue;
                number = own;
                break;
            }
        }
        Uri shown;
        shown.host = trunk->domain();
        shown.user = number.empty() ? "anonymous" : escape_user(written_as(trunk->settings.form, number, exchange_.settings.dial_plan.settings()));
        call.gateway = GatewayLeg{target.trunk, trunk->settings.from.value_or(shown), {}, 0};
        if (!number.empty()) call.gateway->asserted = shown;
    }
    dress(call, target, request);
    if (call.gateway->asserted) request.set_addresses("P-Asserted-Identity", {NameAddr::of(*call.gateway->asserted)});
}

void Trunks::dress(const Call& call, const Target& target, Message& request) {
    if (!call.gateway) return;
    const auto& leg = *call.gateway;
    const bool by_caller = Calls::from_caller(call, request);
    if (target.path != Path::trunk) {  // from there
        if (by_caller || !call.invite) return;
        auto to = request.to();
        to.uri = call.invite->from().uri;
        request.set_to(to);
        return;
    }
    if (!by_caller) return;
    auto from = request.from();
    from.display.clear();
    from.uri = leg.from;
    request.set_from(from);
    const auto cseq = request.cseq();
    request.set("CSeq", CSeq{cseq.number + leg.cseq_shift, cseq.method}.text());
    if (const auto rack = request.get("RAck"); rack && leg.cseq_shift > 0) {  // RFC 3262 section 7.2
        const auto first = rack->find(' ');
        const auto cseq_of = rack->find_first_not_of(' ', first);
        if (const auto number = CSeq::parse(cseq_of == rack->npos ? "" : rack->substr(cseq_of))) {
            request.set("RAck", std::string(rack->substr(0, first)) + " " + CSeq{number->number + leg.cseq_shift, number->method}.text());
        }
    }
    if (!target.proof.empty()) request.set(target.proof_header, target.proof);
}

void Trunks::undress(const Message& request, Message& response) {
    for (const std::string_view name : {"From", "CSeq"}) response.set(name, std::string(request.get(name).value_or("")));
    if (!request.to_tag().empty()) response.set("To", std::string(request.get("To").value_or("")));
}

}  // namespace voice
