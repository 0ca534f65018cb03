#include "voice/requests.hpp"

#include <algorithm>

#include "voice/multipart.hpp"
#include "voice/neighbours.hpp"
#include "voice/past_centre.hpp"
#include "voice/replaces.hpp"
#include "voice/sdp.hpp"

namespace voice {

namespace {

bool makes_dialog(const Message& request) {
    return request.is("INVITE") || request.is("SUBSCRIBE") || request.is("REFER") || request.is("NOTIFY");
}

/// Of two offices one hears first that the centre is dead, and says so to the other.
bool told_lost(const Message& announced) {
    return announced.get(kSecondBranch).value_or("").ends_with(kCentreLost);
}

/// linphone writes "Record-route", which twinkle does not take for the same name.
void spell_record_route(Message& response) {
    std::string routes;
    for (const auto value : response.get_all("Record-Route")) routes += (routes.empty() ? "" : ", ") + std::string(value);
    if (routes.empty()) return;
    response.remove("Record-Route");
    response.set("Record-Route", routes);
}

}  // namespace

void record_route(const Exchange& exchange, const Flow& from, const Target& target, Message& request) {
    std::string caller_token;
    if (from.side == Side::phone) {
        if (const auto* caller = exchange.location.from(from, request.from().uri.address_of_record())) {
            caller_token = caller->token;
        }
    }
    const auto& node = exchange.settings.node;
    const auto inner = waypoint_uri({node, caller_token}, exchange.local_toward(from), from.transport);
    const auto outer = waypoint_uri({node, target.token}, exchange.local_toward(target.flow), target.flow.transport);
    request.prepend_address("Record-Route", NameAddr::of(inner));
    if (outer != inner) request.prepend_address("Record-Route", NameAddr::of(outer));
}

void Requests::arrived(const RequestArrived& event, net::Now now) {
    switch (event.flow.side) {
        case Side::phone:
            return from_phone(event, now);
        case Side::centre:
            return from_centre(event, now);
        case Side::mesh:
            return from_mesh(event, now);
        case Side::trunk:
            return from_trunk(event, now);
        case Side::outside:  // whom we have called may end that call, and ask for nothing else
            return exchange_.answer(event.id, 403, now);
    }
}

void Requests::from_phone(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    if (const auto number = exchange_.help_wanted(request)) return help(event, *number, now);
    const auto caller = Lookup::caller_of(request);
    const auto callee = lookup_.callee_of(request.uri());
    if (request.is("OPTIONS") && (exchange_.is_us(request.uri(), event.flow) || !exchange_.centre_up())) {
        if (request.uri().user.empty() || !exchange_.centre_up()) return options(event, now);
    }
    if (exchange_.centre_up() && !exchange_.centre_busy()) {
        const bool first = exchange_.settings.outside == OutsideUse::always && lookup_.may_speak_for(caller, event.flow);
        if (first && ask_dns(event, caller, callee, now)) return;
        return start(event, caller, callee, {lookup_.centre(request.uri())}, 500, now);
    }
    if (exchange_.centre_busy()) {
        // Who is in the mesh is reached through it, others by DNS. All else has to wait: it is not known that there is no
        // such number.
        const bool believed = lookup_.may_speak_for(caller, event.flow);
        if (believed && Notifier::serves(request)) return notifier_.subscribe(event.id, request, event.flow, caller, true, now);
        const bool over_mesh = request.is("INVITE") || request.is("MESSAGE");
        const auto targets = over_mesh ? everywhere_for(request, callee, event.flow) : std::vector<Target>();
        const bool may_wait = believed && request.is("MESSAGE");
        if (may_wait && pager_.queued(event, caller, callee, now)) return;
        if (may_wait && targets.empty()) return start(event, caller, callee, {}, 503, now);
        const bool by_dns = believed && exchange_.settings.outside != OutsideUse::never;
        if (by_dns && targets.empty() && ask_dns(event, caller, callee, now)) return;
        if (believed && targets.empty() && by_trunk(event, caller, callee, now)) return;
        if (targets.empty() || !believed) return exchange_.answer(event.id, 503, now);
        return start(event, caller, callee, targets, 480, now);
    }
    if (!authenticated(event, caller, now)) return;
    if (request.is("MESSAGE") && pager_.queued(event, caller, callee, now)) return;
    if (request.is("SUBSCRIBE")) {
        // The centre may serve what we do not.
        if (exchange_.monitor && !Notifier::serves(request)) return exchange_.answer(event.id, 480, now);
        return notifier_.subscribe(event.id, request, event.flow, caller, exchange_.monitor.has_value(), now);
    }
    if (request.is("PUBLISH")) return exchange_.answer(event.id, 503, now);
    const bool replaces = Replaces::of(request).has_value();
    const auto targets = everywhere_for(request, callee, event.flow);
    // A call that nobody in the mesh has may be one of whoever is outside, who will say 481 if it is not (RFC 3891 section 3).
    const bool held = replaces && !targets.empty();
    if (!held && exchange_.settings.outside != OutsideUse::never && ask_dns(event, caller, callee, now)) return;
    if (!held && by_trunk(event, caller, callee, now)) return;
    const int otherwise = !lookup_.is_known(callee) ? 404 : replaces ? 481 : 480;
    start(event, caller, callee, targets, otherwise, now);
}

std::vector<Target> Requests::phones_for(const Message& request, const Aor& callee, const Flow& from) {
    if (const auto replaces = Replaces::of(request)) return holders(exchange_, calls_, lookup_, *replaces);
    return lookup_.phones(callee, from);
}

std::vector<Target> Requests::everywhere_for(const Message& request, const Aor& callee, const Flow& from) {
    const auto replaces = Replaces::of(request);
    if (!replaces) return lookup_.everywhere(callee, from);
    const auto here = holders(exchange_, calls_, lookup_, *replaces);
    return here.empty() ? lookup_.nodes(callee) : here;
}

bool Requests::authenticated(const RequestArrived& event, const Aor& caller, net::Now now) {
    if (lookup_.may_speak_for(caller, event.flow)) return true;
    if (!credentials_.provisioned(caller)) {
        ++exchange_.counters.forged;
        exchange_.answer(event.id, 403, now, "Not registered here");
        return false;
    }
    const auto refusal = credentials_.refusal(event.message, caller, Credentials::Asker::proxy, now);
    if (refusal) exchange_.transactions.respond(event.id, *refusal, now);
    return !refusal;
}

bool Requests::found(const NameFound& found, net::Now now) {
    const auto waiting = outside_.take(found.id);
    if (!waiting) return false;
    const auto& [event, caller, callee, until] = *waiting;
    auto targets = outside_.targets(found, event.flow, now);
    if (Replaces::of(event.message)) {  // of our own phones it is for the one that has the call that is to be replaced
        std::erase_if(targets, [](const auto& t) { return t.path == Path::local; });
        if (auto here = phones_for(event.message, callee, event.flow); !here.empty()) targets = std::move(here);
    }
    if (targets.empty() && exchange_.centre_up() && !exchange_.centre_busy()) {
        targets.push_back(lookup_.centre(event.message.uri()));
    }
    if (targets.empty() && by_trunk(event, caller, callee, now)) return true;
    if (targets.empty() && exchange_.centre_busy()) {
        exchange_.answer(event.id, 503, now);
        return true;
    }
    if (targets.empty()) {
        const auto& asked = found.said.domains;
        const bool silent = std::any_of(asked.begin(), asked.end(), [](const auto& d) { return d.kind == DnsAnswer::Kind::failed; });
        exchange_.answer(event.id, silent ? 480 : 404, now, silent ? "No name server answers" : "");
        return true;
    }
    if (targets.front().path == Path::outside) {
        start_in_turn(event, caller, callee, std::move(targets), now);
    } else {
        start(event, caller, callee, targets, 480, now);
    }
    return true;
}

void Requests::from_centre(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    const auto* binding = exchange_.location.by_token(request.uri().user);
    if (binding == nullptr && request.is("OPTIONS")) return options(event, now);
    if (binding != nullptr && binding->flow_lost) return exchange_.answer(event.id, 430, now);  // RFC 5626 5.3
    const auto callee = binding != nullptr ? binding->aor : lookup_.callee_of(request.uri());
    const auto caller = Lookup::caller_of(request);
    const auto replaces = Replaces::of(request);
    auto targets = binding != nullptr ? std::vector{lookup_.phone(*binding)} : lookup_.phones(callee, event.flow);
    if (replaces) {
        const auto holding = holders(exchange_, calls_, lookup_, *replaces);
        // Another phone of the same office has its own INVITE from the centre.
        const bool here = !holding.empty() && (binding == nullptr || holding.front().token == binding->token ||
                                               holding.front().flow.remote == binding->flow.remote);
        if (!here) return exchange_.answer(event.id, 481, now);
        targets = holding;
    }
    if (request.is("INVITE") && merged(event, caller, callee, now)) return;
    // The centre may have slept on it, while it came another way.
    if (const auto known = request.is("MESSAGE") ? pager_.known(request, Side::centre, now) : std::nullopt) return exchange_.answer(event.id, *known, now);
    deliver(event, caller, callee, targets, now);
}

void Requests::from_mesh(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    if (request.is("OPTIONS") && request.uri().user.empty()) return options(event, now);
    const auto caller = Lookup::caller_of(request);
    if (exchange_.help_from_mesh(request, event.flow)) {
        // Who calls the other office has not asked either. Here the number is one of ours, whatever it is there.
        const auto number = exchange_.help_wanted(request).value_or(exchange_.settings.emergency.front());
        return start_in_turn(event, caller, lookup_.callee_of(request.uri()), trunks_.own_help(number), now);
    }
    const bool from_gateway = request.is("INVITE") && request.has(kFromTrunk) && exchange_.is_office(event.flow) &&
                              !exchange_.directory().user(caller);
    if (!from_gateway && !lookup_.may_speak_for(caller, event.flow)) {
        ++exchange_.counters.forged;
        return exchange_.answer(event.id, 403, now, "Not a user of that node");
    }
    const auto callee = lookup_.callee_of(request.uri());
    if (request.is("BYE")) return withdrawn(event, caller, callee, now);
    if (request.is("INVITE") && merged(event, caller, callee, now)) return;
    if (const auto known = request.is("MESSAGE") ? pager_.known(request, Side::mesh, now) : std::nullopt) return exchange_.answer(event.id, *known, now);
    const auto phones = phones_for(request, callee, event.flow);
    if (phones.empty() && Replaces::of(request)) return exchange_.answer(event.id, 481, now);
    // Each of us thinks that the other has the callee: it would go round, once for each that thinks so.
    if (phones.empty() && lookup_.is_at(callee, event.flow)) return exchange_.answer(event.id, 482, now);
    if (const auto trunk = request.uri().params.get(kTrunkParam); trunk && phones.empty() && !from_gateway && request.is("INVITE")) {
        const auto number = trunk_number(request, event.flow);
        auto targets = number ? trunks_.own_ways(*number, *trunk) : std::vector<Target>();
        if (!targets.empty()) return start_in_turn(event, caller, callee, std::move(targets), now);
        return exchange_.answer(event.id, 503, now, "No such trunk here");
    }
    deliver(event, caller, callee, phones, now);
}

void Requests::from_trunk(const RequestArrived& event, net::Now now) {
    const auto& request = event.message;
    if (request.is("OPTIONS")) return options(event, now);
    const auto caller = Lookup::caller_of(request);
    if (!request.is("INVITE") || exchange_.directory().user(caller)) {  // the name of one of us
        ++exchange_.counters.forged;
        return exchange_.answer(event.id, 403, now);
    }
    // Carriers call the Contact that was registered, or the account, and write the number into To.
    for (const auto& uri : {request.uri(), request.to().uri}) {
        auto callee = lookup_.callee_of(uri);
        if (!lookup_.is_known(callee)) {
            Uri with_plus = uri;  // "442079460148", as many gateways write it
            with_plus.user = "+" + uri.user;
            callee = lookup_.callee_of(with_plus);
        }
        if (lookup_.is_known(callee)) return deliver(event, caller, callee, lookup_.everywhere(callee, event.flow), now);
    }
    exchange_.answer(event.id, 404, now);
}

void Requests::help(const RequestArrived& event, const std::string& number, net::Now now) {
    auto targets = trunks_.help(number);
    if (exchange_.settings.centre) {
        targets.push_back(lookup_.centre(event.message.uri()));
        targets.back().gives_way = GiveWay::refusal;
    }
    start_in_turn(event, Lookup::caller_of(event.message), number, std::move(targets), now);
}

std::optional<std::string> Requests::trunk_number(const Message& request, const Flow& from) const {
    if (auto number = lookup_.number_of(request.uri(), from)) return number;
    if (lookup_.is_foreign(request.uri(), from)) return std::nullopt;
    return dialled_digits(request.uri().is_tel() ? request.uri().address_of_record() : request.uri().user_unescaped());
}

bool Requests::ask_dns(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now) {
    const bool centre_next = exchange_.centre_up() && !exchange_.centre_busy();
    const auto number = centre_next ? std::nullopt : trunk_number(event.message, event.flow);
    return outside_.ask(event, caller, callee, number && !trunks_.ways(*number).empty(), now);
}

bool Requests::by_trunk(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now) {
    if (!event.message.is("INVITE") || lookup_.is_known(callee)) return false;
    const auto number = trunk_number(event.message, event.flow);
    auto targets = number ? trunks_.ways(*number) : std::vector<Target>();
    if (targets.empty()) return false;
    start_in_turn(event, caller, callee, std::move(targets), now);
    return true;
}

void Requests::start_in_turn(const RequestArrived& event, const Aor& caller, const Aor& callee, std::vector<Target> targets,
                             net::Now now) {
    if (targets.empty()) return exchange_.answer(event.id, 503, now, "No way there");
    std::vector<Target> next(std::next(targets.begin()), targets.end());
    targets.resize(1);
    start(event, caller, callee, targets, 480, now, std::move(next));
}

bool Requests::merged(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now) {
    const auto& invite = event.message;
    const bool second = event.flow.side == Side::mesh && invite.has(kSecondBranch);
    const bool told = second && told_lost(invite) && lookup_.is_at(caller, event.flow);
    const bool doubtful = told || !exchange_.monitor || exchange_.monitor->doubtful(now);
    const auto judgement = merging_.judge(invite, caller, callee, event.flow.side, second, doubtful);
    const bool lost = second && doubtful;  // what has been answered, too, is the mesh's then
    switch (judgement.verdict) {
        case Merging::Verdict::deliver: {
            const auto answered = second ? merging_.copies(invite, caller, callee, true) : std::vector<ServerId>{};
            if (answered.empty() && lost) return handed_over(event, caller, callee, now);
            if (answered.empty()) return second && renamed_here(event, caller, callee) != nullptr && refused_for_centre(event, now);
            if (lost) return taken_over(event, caller, callee, answered, now);
            return refused_for_centre(event, now);
        }
        case Merging::Verdict::hold:
            if (judgement.same && exchange_.monitor && !exchange_.centre_up()) {  // the centre's last word: it need not be let through
                exchange_.answer(event.id, 482, now);
                return true;
            }
            held_.insert_or_assign(event.id, Held{event, now.steady + Merging::kHold});
            return true;
        case Merging::Verdict::refuse:
            if (lost && handed_over(event, caller, callee, now)) return true;
            if (told || (exchange_.monitor && !exchange_.centre_up())) {
                // A B2BUA's, under a Call-ID of its own: nobody will answer for it any more. It gives way to the mesh's.
                // All phones that it rings do: of several nobody knows which are this call's.
                auto next = judgement;
                while (next.verdict == Merging::Verdict::refuse) {
                    forking_.cancelled(next.other, now, kElsewhere);
                    merging_.ended(next.other, false, now);
                    next = merging_.judge(invite, caller, callee, event.flow.side, second, doubtful);
                }
                return merged(event, caller, callee, now);
            }
            if (second) return refused_for_centre(event, now);
            exchange_.answer(event.id, 482, now);
            return true;
        case Merging::Verdict::adopt:
            return taken_over(event, caller, callee, merging_.copies(invite, caller, callee, lost), now);
    }
    return false;
}

bool Requests::refused_for_centre(const RequestArrived& event, net::Now now) {
    if (exchange_.monitor) exchange_.monitor->hurry();
    exchange_.answer(event.id, 482, now);
    return true;
}

bool Requests::taken_over(const RequestArrived& event, const Aor& caller, const Aor& callee, std::vector<ServerId> rung, net::Now now) {
    std::string key;
    std::size_t undecided = 0;
    for (const auto id : rung) {
        const auto* fork = forking_.find(id);
        if (fork == nullptr || fork->calls.empty()) continue;
        key = fork->calls.front();
        undecided += fork->final_status == 0 ? 1 : 0;
    }
    auto* call = calls_.find(key);
    if (call == nullptr) return false;
    if (call->answer) {  // the others give way to the phone that has this call
        std::stable_partition(rung.begin(), rung.end(), [&](const auto id) {
            const auto* fork = forking_.find(id);
            return fork != nullptr && fork->winner_tag == call->answer->to_tag();
        });
    }
    calls_.listen(*call, event.message, event.flow, now);
    call->invite = event.message;
    call->caller = event.flow;
    for (const auto id : rung) merging_.ended(id, false, now);
    merging_.deliver(event.id, event.message, caller, callee, event.flow.side, true);
    forking_.adopt(rung, event.id, event.message, event.flow, now);
    auto* fork = forking_.find(event.id);
    const bool answered = fork != nullptr && fork->final_status != 0;
    const auto fewer = answered ? undecided : undecided - std::min<std::size_t>(undecided, 1);  // one goes on
    call->forks -= static_cast<unsigned>(std::min<std::size_t>(call->forks, fewer));
    if (!answered) return true;
    merging_.ended(event.id, true, now);
    // The answer went to a centre that was dead already. It is told again, as its phone does until somebody acknowledges it.
    forking_.answer_again(*fork, now);
    return true;
}

Call* Requests::renamed_here(const RequestArrived& event, const Aor& caller, const Aor& callee) {
    const auto end = end_of(event.message);
    const auto node = exchange_.node_of(event.flow);
    if (!end || !node || exchange_.directory().node_at(end->address) != node) return nullptr;
    auto* call = calls_.brought(*end);
    return call != nullptr && call->view.from == caller && call->view.to == callee ? call : nullptr;
}

bool Requests::handed_over(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now) {
    auto* call = renamed_here(event, caller, callee);
    if (call == nullptr) return false;
    auto rung = merging_.copies(*call->invite, caller, callee, true);
    std::erase_if(rung, [&](const auto id) {
        const auto* fork = forking_.find(id);
        return fork == nullptr || (fork->final_status != 0 && (!call->up || fork->winner_tag != call->answer->to_tag()));
    });
    const auto winner = std::find_if(rung.begin(), rung.end(), [&](const auto id) { return forking_.find(id)->final_status != 0; });
    const bool answered = winner != rung.end();
    const bool waits = std::any_of(rung.begin(), rung.end(), [&](const auto id) {  // for a PRACK, which has no way past it
        const auto& said = forking_.find(id)->provisional;
        return said && said->has("RSeq");
    });
    if (rung.empty() || answered != call->up || (!answered && waits)) return false;
    if (answered) std::iter_swap(rung.begin(), winner);
    call->handed_over = true;
    calls_.name_elsewhere(*call, event.message, event.flow);
    call->past_centre_cseq = call->invite->cseq().number;  // it will want an ACK to that
    call->forks -= static_cast<unsigned>(std::min<std::size_t>(call->forks, rung.size() - 1));
    for (const auto id : rung) merging_.ended(id, false, now);
    merging_.deliver(event.id, event.message, caller, callee, event.flow.side, true);
    forking_.adopt(rung, event.id, event.message, event.flow, now, true);
    if (!answered) return true;
    merging_.ended(event.id, true, now);
    if (auto* fork = forking_.find(event.id)) forking_.answer_again(*fork, now);
    return true;
}

void Requests::deliver(const RequestArrived& event, const Aor& caller, const Aor& callee,
                       const std::vector<Target>& targets, net::Now now) {
    if (targets.empty()) return exchange_.answer(event.id, lookup_.is_known(callee) ? 480 : 404, now);
    if (event.message.is("INVITE")) {
        merging_.deliver(event.id, event.message, caller, callee, event.flow.side,
                         event.flow.side == Side::mesh && event.message.has(kSecondBranch));
    }
    if (event.message.is("MESSAGE")) pager_.arriving(event.message, event.flow.side);
    start(event, caller, callee, targets, 480, now);
}

void Requests::start(const RequestArrived& event, const Aor& caller, const Aor& callee,
                     const std::vector<Target>& targets, int otherwise, net::Now now, std::vector<Target> next) {
    Fork fork(event.id, event.message, event.flow, this);
    fork.next = std::move(next);
    fork.hurried = !targets.empty() && targets.front().gives_way != GiveWay::outage;
    const bool help = !targets.empty() && targets.front().gives_way == GiveWay::refusal;
    fork.request.remove("Route");
    if (fork.is_invite()) {
        if (calls_.is_live(event.message, event.flow)) {  // RFC 3261 8.2.2.2
            merging_.ended(event.id, false, now);
            return exchange_.answer(event.id, 482, now);
        }
        const bool always = help && (event.flow.side != Side::mesh || (calls_.full() && exchange_.spares(event.message, event.flow, now)));
        auto* call = calls_.open(event.message, event.flow, caller, callee, now, always);
        if (call == nullptr) {
            ++exchange_.counters.overload;
            merging_.ended(event.id, false, now);
            return exchange_.answer(event.id, 503, now);
        }
        fork.calls.push_back(call->key);
        const bool central = !targets.empty() && targets.front().path == Path::central;
        if (central && !help) fork.patience = now.steady + exchange_.monitor->patience();
    }
    const bool to_phones = !targets.empty() && targets.front().path != Path::central;
    if (to_phones && event.message.is("MESSAGE") && event.flow.side == Side::phone) pager_.sent(event.id, now);
    forking_.open(std::move(fork), targets, otherwise, now);
}

bool Requests::shape(Fork& fork, const Target& target, Message& request, net::Now now) {
    if (makes_dialog(request)) record_route(exchange_, fork.from, target, request);
    request.remove(kSecondBranch);
    request.remove(kKeptHeader);
    request.remove(kFromTrunk);
    if (fork.from.side == Side::trunk && target.path == Path::mesh) {
        request.set(kFromTrunk, exchange_.gateways.trunk_at(fork.from.remote, false));
    }
    // 22.3: consumed here. The centre has passwords of its own, maybe for a realm of the same name.
    if (target.path != Path::central) credentials_.consume(request);
    if (target.path == Path::local) name_as_the_phone_does(calls_, request);
    // Only the centre is believed about these (RFC 3325 section 5); From has been judged.
    if (fork.from.side != Side::centre) {
        request.remove("P-Asserted-Identity");
        request.remove("Remote-Party-ID");
    }
    if (!fork.is_invite()) return true;
    if (fork.spare_tried && target.path == Path::mesh) {
        request.set(kSecondBranch, Lookup::caller_of(request) + ' ' + lookup_.callee_of(fork.request.uri()) + ' ' +
                                       std::string(request.call_id()) + (exchange_.centre_up() ? "" : kCentreLost));
    }
    if (auto* call = fork.calls.empty() ? nullptr : calls_.find(fork.calls.front()); call != nullptr && target.path == Path::trunk) {
        const auto caller = Lookup::caller_of(fork.request);
        trunks_.dress(*call, target, caller, lookup_.may_speak_for(caller, fork.from), request);
    }
    // Where no port is left for media, a call for help goes as it is.
    if (calls_.carry(fork, target, request, now) || target.gives_way == GiveWay::refusal) return true;
    const auto part = sdp_part(request.content_type(), request.body());
    const bool readable = !part || SessionDescription::parse(part->text);
    if (readable && fork.unsendable == 0) ++exchange_.counters.no_media;
    fork.unsendable = readable ? 503 : 488;
    return false;
}

std::optional<Target> Requests::again(Fork& fork, const Branch& branch, const Message& refusal, net::Now) {
    auto* call = fork.calls.empty() ? nullptr : calls_.find(fork.calls.front());
    auto target = call != nullptr && call->gateway ? trunks_.again(branch, refusal) : std::nullopt;
    if (target) ++call->gateway->cseq_shift;
    return target;
}

bool Requests::placed_here(ServerId brought) {
    const auto* fork = forking_.find(brought);
    if (fork == nullptr) return false;
    const auto copies = forking_.copies_of(fork->request);
    return std::any_of(copies.begin(), copies.end(), [&](const auto id) {
        const auto* copy = forking_.find(id);
        return copy != nullptr && copy->from.side == Side::phone;
    });
}

std::vector<Target> Requests::spare(Fork& fork, net::Now now) {
    const bool message = fork.request.is("MESSAGE");
    if (!(fork.is_invite() || message) || fork.from.side != Side::phone || fork.hurried) return {};
    const auto caller = Lookup::caller_of(fork.request);
    const auto callee = lookup_.callee_of(fork.request.uri());
    if (!lookup_.may_speak_for(caller, fork.from)) return {};
    if (message && pager_.mailbox().has(caller, callee)) return {};  // it is kept behind the others
    auto targets = everywhere_for(fork.request, callee, fork.from);
    if (message) {
        if (!targets.empty()) pager_.sent(fork.id, now);
        return targets;
    }
    const bool here = std::any_of(targets.begin(), targets.end(), [](const auto& t) { return t.path == Path::local; });
    if (here) {
        const auto judgement = merging_.judge(fork.request, caller, callee, Side::phone, true, false);
        // The centre has brought a call of theirs that rings still: this one, or another that a phone of this office has placed.
        const bool another = !judgement.same && placed_here(judgement.other);
        if (judgement.verdict != Merging::Verdict::deliver && !another) return {};
        merging_.deliver(fork.id, fork.request, caller, callee, Side::phone, true);
    }
    if (fork.is_invite() && targets.empty() && !lookup_.is_known(callee)) {
        const auto number = trunk_number(fork.request, fork.from);
        if (number) targets = trunks_.ways(*number);
        if (targets.size() > 1) targets.resize(1);
    }
    return targets;
}

void Requests::passing(Fork& fork, const Branch& branch, Message& response, net::Now now) {
    if (fork.calls.empty()) return;
    auto* call = calls_.find(fork.calls.front());
    // Another phone that the centre has forked to was faster; this one's answer is about to be ended.
    if (call != nullptr && call->up && call->answer->to_tag() != response.to_tag()) return;
    const bool by_trunk = call != nullptr && call->gateway;
    // What a gateway wants to know nobody behind us can answer.
    if (by_trunk && branch.id == 0 && (response.status() == 401 || response.status() == 407)) {
        response.remove("WWW-Authenticate");
        response.remove("Proxy-Authenticate");
        response.set_status(500);
    }
    const bool answers = response.status() >= 200 && response.status() < 300;
    if (call != nullptr && branch.id != 0) {
        if (answers && branch.spare && branch.target.path == Path::mesh && response.has(kPastCentre)) call->handed_over = true;
        response.remove(kPastCentre);
        call->callee_near = branch.target.flow.side == Side::phone;  // an UPDATE may come before the answer
        if (!call->up) call->callee = branch.target.flow;
        if (call->callee_near) spell_record_route(response);
        if (branch.target.path == Path::outside) hear(response, now);
        if (response.status() < 200) calls_.ringing(*call, branch.target.path, now);
        if (answers && call->up && fork.from.side == Side::centre) late_acks_.repeated(*call, now);
        if (answers) calls_.answered(*call, branch, response, now);
    }
    if (by_trunk) Trunks::undress(fork.request, response);
    calls_.carry_back(fork, branch, response, now);
    if (!answers || call == nullptr || !call->handed_over || !fork.asked) return;
    if (const auto ours = our_end(exchange_, *call)) response.set(kPastCentre, ours->text());
}

void Requests::hear(const Message& response, net::Now now) {
    const auto contact = response.first_address("Contact");
    const auto endpoint = contact ? contact->uri.endpoint() : std::nullopt;
    if (endpoint && !exchange_.is_phone_address(endpoint->address)) exchange_.outside.add(*endpoint, now);
}

void Requests::heard(Fork& fork, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
                     net::Now now) {
    if (!fork.is_invite()) return;
    judge_centre(exchange_, branch, status, retry_after_s, now);
    trunks_.judge(branch, status, now);
}

bool Requests::settles(Fork& fork, int status, net::Now now) {
    if (fork.request.is("MESSAGE")) return pager_.refused(fork, status, now);
    return fork.request.is("SUBSCRIBE") && served_here(fork, status, now);
}

bool Requests::served_here(const Fork& fork, int status, net::Now now) {
    const bool unable = status == 405 || status == 489 || status == 501;
    const bool absent = status == 404 || status == 480;
    if (fork.from.side != Side::phone || !(unable || absent || is_outage(status)) || !Notifier::serves(fork.request)) return false;
    const auto caller = Lookup::caller_of(fork.request);
    const bool ours = exchange_.directory().user(lookup_.callee_of(fork.request.uri())).has_value();
    if (!ours || !lookup_.may_speak_for(caller, fork.from)) return false;
    const bool for_now = is_outage(status) || (absent && exchange_.settling(now));
    notifier_.subscribe(fork.id, fork.request, fork.from, caller, for_now, now);
    return true;
}

void Requests::ended(Fork& fork, int status, net::Now now) {
    if (fork.request.is("MESSAGE")) pager_.ended(fork, status, now);
    if (!fork.is_invite()) return;
    merging_.ended(fork.id, status < 300, now);
    for (const auto& key : fork.calls) {
        auto* call = calls_.find(key);
        if (call == nullptr) continue;
        if (call->forks > 0) --call->forks;
        if (call->forks > 0 || call->up || status < 300) continue;
        const auto why = std::to_string(status) + ' ' + std::string(reason_phrase(status));
        calls_.end(key, status == 487 ? "given up by the caller" : why, now, status);
    }
}

void Requests::cancelled(ServerId id, std::string_view reason, net::Now now) {
    if (held_.erase(id) > 0 || outside_.forget(id)) return exchange_.answer(id, 487, now);
    forking_.cancelled(id, now, reason);
}

void Requests::withdraw(Fork& fork, bool answered, net::Now now) {
    const auto caller = Lookup::caller_of(fork.request);
    const auto callee = lookup_.callee_of(fork.request.uri());
    if (!answered) {
        for (const auto id : merging_.ringing(fork.request, caller, callee, !exchange_.centre_up())) forking_.cancelled(id, now);
    }
    for (const auto& target : lookup_.nodes(callee)) {
        auto bye = Message::request("BYE", target.uri);
        bye.set_from(fork.request.from());
        bye.set_to(fork.request.to());
        bye.set("Call-ID", fork.request.call_id());
        bye.set("CSeq", CSeq{fork.request.cseq().number, "BYE"}.text());
        if (!exchange_.centre_up()) bye.set(kSecondBranch, kCentreLost);
        if (answered) bye.set("Reason", kElsewhere);
        exchange_.transactions.start(std::move(bye), target.flow, exchange_.sent_by(target.flow), now);
    }
}

std::vector<ServerId> Requests::renamed(const Fork& fork) {
    const auto* call = fork.calls.empty() ? nullptr : calls_.find(fork.calls.front());
    const auto* other = call != nullptr ? calls_.other_side(*call) : nullptr;
    if (other == nullptr || !other->invite) return {};
    return forking_.copies_of(*other->invite);
}

void Requests::joined(const Fork& came, const Fork& went) {
    for (const auto* fork : {&came, &went}) {
        auto* call = calls_.find(fork->calls.front());
        if (call == nullptr || !call->invite) continue;
        call->handed_over = true;
        if (fork == &came) call->past_centre_cseq = call->invite->cseq().number;  // it waits for the ACK to that
    }
}

void Requests::withdrawn(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now) {
    // Of a call under another name it is believed where that caller is, and where we hear nothing of the centre either.
    const bool doubtful = !exchange_.monitor || exchange_.monitor->doubtful(now);
    const bool any = doubtful && (told_lost(event.message) || !exchange_.centre_up()) && lookup_.is_at(caller, event.flow);
    const auto ringing = merging_.ringing(event.message, caller, callee, any);
    exchange_.answer(event.id, ringing.empty() ? 481 : 200, now);
    for (const auto id : ringing) forking_.cancelled(id, now, event.message.get("Reason").value_or(""));
}

void Requests::tick(net::Now now) {
    merging_.tick(now);
    for (const auto& late : outside_.take_late(now)) {
        if (!by_trunk(late.event, late.caller, late.callee, now)) exchange_.answer(late.event.id, 480, now, "No name server answers");
    }
    std::vector<RequestArrived> due;
    std::erase_if(held_, [&](auto& entry) {
        if (entry.second.until > now.steady) return false;
        due.push_back(std::move(entry.second.event));
        return true;
    });
    for (const auto& event : due) {
        const auto* binding = exchange_.location.by_token(event.message.uri().user);
        const auto callee = binding != nullptr ? binding->aor : lookup_.callee_of(event.message.uri());
        const auto targets =
            binding != nullptr ? std::vector{lookup_.phone(*binding)} : phones_for(event.message, callee, event.flow);
        deliver(event, Lookup::caller_of(event.message), callee, targets, now);
    }
}

net::Steady Requests::next_deadline() const {
    auto next = outside_.next_deadline();
    for (const auto& [id, held] : held_) next = std::min(next, held.until);
    return next;
}

void Requests::options(const RequestArrived& event, net::Now now) {
    const auto side = event.flow.side;
    auto response = exchange_.response_to(event.id, 200);
    response.set("Allow", kAllow);
    response.set("Accept", "application/sdp");
    if (side == Side::mesh && exchange_.monitor) response.set(kCentreHeader, name_of(exchange_.monitor->state()));
    exchange_.transactions.respond(event.id, response, now);
}

}  // namespace voice
