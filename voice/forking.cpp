#include "voice/forking.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "voice/overload.hpp"

namespace voice {

namespace {

constexpr auto kTimerC =
    std::chrono::minutes(3) + std::chrono::seconds(1);  // RFC 3261 16.6 step 11: more than 3 minutes
constexpr unsigned kMaxBreadth = 60;                    // RFC 5393 5.3.3: of a request that names none

/// How long a target may be silent while there is another; one that lives sends 100 within 200 ms (RFC 3261 17.2.1).
constexpr auto kNextPatience = std::chrono::seconds(3);

/// FNV-1a; no secret depends on it.
std::uint64_t hash_of(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325U) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return (hash ^ 0xff) * 0x100000001b3U;
}

}  // namespace

std::string_view name_of(Path path) {
    switch (path) {
        case Path::local:
            return "local";
        case Path::mesh:
            return "mesh";
        case Path::central:
            return "central";
        case Path::outside:
            return "outside";
        case Path::trunk:
            return "trunk";
    }
    return "";
}

std::string loop_mark(const Exchange& exchange, const Message& request) {
    auto hash = hash_of(exchange.settings.node);
    const auto to_tag = request.to_tag();
    const auto route = to_tag.empty() ? std::string() : std::string(request.get("Route").value_or(""));
    for (const auto& part : {std::string(request.call_id()), request.from_tag(), to_tag, request.cseq().text(),
                             request.uri().text(), route}) {
        hash = hash_of(part, hash);
    }
    return "m" + net::to_hex(std::as_bytes(std::span(&hash, 1)));
}

void Forking::open(Fork fork, const std::vector<Target>& targets, int otherwise, net::Now now) {
    const auto id = fork.id;
    auto& opened = forks_.insert_or_assign(id, std::move(fork)).first->second;
    if (opened.begins_dialog()) invites_.add(opened.request, id);
    if (!opened.next.empty() || opened.hurried) opened.patience = now.steady + kNextPatience;
    if (breadth_left(opened) < std::max<std::size_t>(1, targets.size())) return finish(opened, 440, now);
    if (launch(opened, targets, false, now) == 0 && !try_next(opened, now) && !try_spare(opened, now)) {
        // A centre that is told 503 would tell the caller so, whose meshd would take it for the centre's own.
        const bool say_why = opened.unsendable != 0 && opened.from.side != Side::centre;
        return finish(opened, say_why ? opened.unsendable : otherwise, now);
    }
    wake(opened);
}

unsigned Forking::breadth_left(const Fork& fork) {
    const auto named = net::parse_decimal(fork.request.get("Max-Breadth").value_or(""), kMaxBreadth);
    auto left = static_cast<unsigned>(named.value_or(kMaxBreadth));
    for (const auto& branch : fork.branches) {
        if (branch.pending()) left -= std::min(left, branch.breadth);
    }
    return left;
}

unsigned Forking::launch(Fork& fork, const std::vector<Target>& targets, bool spare, net::Now now) {
    unsigned launched = 0;
    const auto left = breadth_left(fork);
    if (left < targets.size()) return 0;
    // Where there will be a spare, as there may be wherever the centre is asked, it has its share.
    const bool central = !targets.empty() && targets.front().path == Path::central;
    const bool alone = spare || (fork.patience == net::kNever && !central);
    const auto ways = static_cast<unsigned>(targets.size()) + (alone ? 0 : 1);
    const auto breadth = std::max(1U, left / std::max(1U, ways));
    for (const auto& target : targets) {
        auto request = fork.request;
        request.set_max_forwards(request.max_forwards().value_or(70 + 1) - 1);
        request.set("Max-Breadth", std::to_string(breadth));
        request.set_uri(target.uri);
        request.set_addresses("Route", target.routes);
        if (!fork.user->shape(fork, target, request, now)) continue;
        const auto id = exchange_.transactions.start(std::move(request), target.flow, exchange_.sent_by(target.flow),
                                                     now, loop_mark(exchange_, fork.request));
        if (id == 0) continue;
        fork_of_[id] = fork.id;
        fork.branches.push_back(
            {id, target, spare, false, false, 0, breadth, fork.is_invite() ? now.steady + kTimerC : net::kNever});
        ++launched;
    }
    return launched;
}

bool Forking::try_spare(Fork& fork, net::Now now) {
    fork.patience = net::kNever;
    if (fork.spare_tried || fork.final_status != 0) return false;
    fork.spare_tried = true;
    const auto targets = fork.user->spare(fork, now);
    return launch(fork, targets, true, now) > 0;
}

bool Forking::retry_spare(Fork& fork, net::Now now) {
    for (const auto& branch : fork.branches) fork.spare_tried &= !(branch.spare && branch.status == 482);
    return try_spare(fork, now);
}

bool Forking::try_next(Fork& fork, net::Now now) {
    if (fork.final_status != 0) return false;
    while (!fork.next.empty()) {
        const auto target = fork.next.front();
        fork.next.erase(fork.next.begin());
        fork.patience = fork.next.empty() && !fork.hurried ? net::kNever : now.steady + kNextPatience;
        if (launch(fork, {target}, false, now) > 0) return true;
    }
    return false;
}

void Forking::response(const ResponseArrived& event, net::Now now) {
    Fork* fork = nullptr;
    auto* branch = branch_of(event.id, fork);
    if (branch == nullptr) return;
    fork->user->heard(*fork, *branch, event.message.status(), event.message.retry_after_s(), now);
    if (event.message.status() < 200) return provisional(*fork, *branch, event.message, now);
    if (event.message.status() < 300) return success(*fork, *branch, event.message, now);
    if (branch->pending() && fork->final_status == 0) {
        if (const auto target = fork->user->again(*fork, *branch, event.message, now)) {
            branch->status = event.message.status();
            branch->dropped = true;
            if (launch(*fork, {*target}, branch->spare, now) > 0) return wake(*fork);
            branch->dropped = false;
            branch->status = 0;
        }
    }
    refused(*fork, *branch, event.message, now);
}

void Forking::provisional(Fork& fork, Branch& branch, Message response, net::Now now) {
    if (!branch.pending()) return;
    branch.status = response.status();
    fork.patience = net::kNever;
    if (fork.final_status != 0) return;
    if (only_tried(fork) != nullptr) {
        fork.patience = now.steady + exchange_.monitor->patience();
        wake(fork);
    }
    if (branch.status == 100) return;  // for the next hop only
    if (fork.is_invite()) branch.timer_c = now.steady + kTimerC;
    // One way has reached a phone: the other way is not wanted any more.
    for (auto& rival : fork.branches) {
        if (rival.spare != branch.spare) drop(fork, rival, now);
    }
    fork.user->passing(fork, branch, response, now);
    fork.provisional = response;
    reply(fork, response, now);
    if (!fork.is_invite() || fork.ping_at != net::kNever) return;
    fork.ping_at = now.steady + kPingEvery;
    wake(fork);
}

void Forking::success(Fork& fork, Branch& branch, Message response, net::Now now) {
    if (fork.orphan_until != net::kNever) return;  // it is sent again until somebody acknowledges it, or BYE ends it
    branch.status = response.status();
    const bool again = fork.final_status != 0 && fork.winner == branch.id && response.to_tag() == fork.winner_tag;
    if (fork.final_status != 0 && !again) {
        if (!fork.is_invite()) return;
        // In a dialog that lives on it was a copy of what has been answered, or it is the very answer by another way: no BYE.
        const bool lives_on = !fork.request.to_tag().empty() || response.to_tag() == fork.winner_tag;
        forsaken_.end(response, branch.target.flow, !branch.ended && !lives_on, now);
        branch.ended = true;
        return;
    }
    if (again && !fork.is_invite()) return;
    if (!again && fork.from.side == Side::centre && fork.is_invite()) fork.answer = response;
    fork.user->passing(fork, branch, response, now);
    reply(fork, response, now);
    if (again) return;
    fork.final_status = response.status();
    fork.winner = branch.id;
    fork.winner_tag = response.to_tag();
    fork.answered = ++answers_;
    drop_others(fork, &branch, now, kElsewhere);
    fork.user->ended(fork, fork.final_status, now);
    forget_if_over(fork.id);
}

void Forking::refused(Fork& fork, Branch& branch, Message response, net::Now now) {
    const bool counts = !branch.dropped && fork.final_status == 0;
    const bool rang = branch.status > 100;
    branch.status = response.status();
    if (!counts) return;
    const auto status = response.status();
    // 482 to the spare: the callee's side has this call by its first way already, which goes on.
    if (status != 482 || !branch.spare) fork.refusals.push_back(std::move(response));
    if (status >= 600) {
        drop_others(fork, &branch, now, reason_of(status));
    }
    if (gives_way(branch.target.gives_way, status) && !rang && try_next(fork, now)) return wake(fork);
    // What comes after ringing is about the callee. After an outage the centre may not know yet who is there.
    // One that has restarted does not know a call that goes on.
    const bool forgotten = status == 481 && branch.target.path == Path::central && !fork.request.to_tag().empty();
    const bool unsure = forgotten || is_outage(status) || ((status == 404 || status == 480) && exchange_.settling(now));
    if (unsure && !rang && !branch.spare && try_spare(fork, now)) return wake(fork);
    choose(fork, now);
}

void Forking::choose(Fork& fork, net::Now now) {
    if (fork.final_status != 0) return;
    if (std::any_of(fork.branches.begin(), fork.branches.end(), [](const auto& b) { return b.pending(); })) return;
    if (fork.refusals.empty()) return finish(fork, 480, now);
    auto& all = fork.refusals;
    const auto best = std::min_element(
        all.begin(), all.end(), [](const auto& a, const auto& b) { return rank_of(a.status()) < rank_of(b.status()); });
    auto response = *best;
    if (response.status() == 401 || response.status() == 407) {  // step 7: every challenge
        for (const auto& other : all) {
            if (&other == &*best) continue;
            for (const auto* name : {"WWW-Authenticate", "Proxy-Authenticate"}) {
                for (const auto value : other.get_all(name)) response.add(name, value);
            }
        }
    }
    conclude(fork, std::move(response), now);
}

void Forking::conclude(Fork& fork, Message response, net::Now now) {
    const Branch none;
    if (fork.user->settles(fork, response.status(), now)) {
        fork.final_status = response.status();
    } else {
        fork.user->passing(fork, none, response, now);
        // Ours is not overloaded; but where we know that the next request would be answered so, too, it stays (16.7 step 6).
        const bool theirs = !fork.refusals.empty() && !exchange_.centre_busy();
        if (response.status() == 503 && theirs) response.set_status(500);
        fork.final_status = response.status();
        reply(fork, response, now);
    }
    fork.user->ended(fork, fork.final_status, now);
    forget_if_over(fork.id);
}

void Forking::finish(Fork& fork, int status, net::Now now, std::string_view reason) {
    drop_others(fork, nullptr, now, reason);
    if (fork.final_status != 0) return;
    auto response = Message::response(fork.request, status, {}, exchange_.transactions.make_tag());
    if (status == 503) response.set("Retry-After", retry_after(exchange_.random));
    conclude(fork, std::move(response), now);
}

void rename(Message& response, const Message& asked) {
    auto to = asked.to();
    if (asked.to_tag().empty()) {
        to.params.set("tag", response.to_tag());
        response.set_addresses("Record-Route", asked.record_routes());
    }
    response.set_from(asked.from());
    response.set_to(to);
    response.set("Call-ID", asked.call_id());
    response.set("CSeq", asked.cseq().text());
    if (response.has("Contact")) response.set_contacts({NameAddr::of(asked.uri())});
}

void Forking::reply(Fork& fork, const Message& response, net::Now now) {
    if (hand_over(fork, response, now)) return;
    if (!fork.adopted && !fork.asked) {
        exchange_.transactions.respond(fork.id, response, now);
        return;
    }
    auto moved = response;
    moved.remove("Via");
    if (fork.asked) {
        rename(moved, *fork.asked);
    }
    const auto vias = fork.as_asked().vias();
    for (auto via = vias.rbegin(); via != vias.rend(); ++via) moved.push_via(*via);
    exchange_.transactions.respond(fork.id, moved, now);
}

void Forking::failed(ClientId id, int status, net::Now now) {
    Fork* fork = nullptr;
    auto* branch = branch_of(id, fork);
    if (branch == nullptr) return;
    fork->user->heard(*fork, *branch, status, std::nullopt, now);
    const bool waits = fork->final_status == 0 && branch->target.path == Path::central && !exchange_.centre_up();
    if (waits && !other_halves(*fork).empty()) return;
    if (branch->target.path == Path::local && branch->status > 100) status = 480;  // it rang, and is gone
    const auto server = fork->id;
    refused(*fork, *branch, Message::response(fork->request, status, {}, exchange_.transactions.make_tag()), now);
    client_ended(id);
    forget_if_over(server);
}

net::Steady Forking::next_deadline() const {
    return std::min(deadlines_.empty() ? net::kNever : deadlines_.begin()->first, forsaken_.next_deadline());
}

Fork* Forking::find(ServerId id) {
    const auto at = forks_.find(id);
    return at == forks_.end() ? nullptr : &at->second;
}

Branch* Forking::branch_of(ClientId id, Fork*& fork) {
    const auto at = fork_of_.find(id);
    if (at == fork_of_.end()) return nullptr;
    fork = find(at->second);
    if (fork == nullptr) return nullptr;
    return branch_of(*fork, id);
}

Branch* Forking::branch_of(Fork& fork, ClientId id) {
    const auto at = std::find_if(fork.branches.begin(), fork.branches.end(), [&](const auto& branch) { return branch.id == id; });
    return at == fork.branches.end() ? nullptr : &*at;
}

void Forking::wake(const Fork& fork) {
    auto at = std::min({fork.patience, fork.orphan_until, fork.ping_at});
    for (const auto& branch : fork.branches) {
        if (branch.pending()) at = std::min(at, branch.timer_c);
    }
    if (at != net::kNever) deadlines_.emplace(at, fork.id);
}

std::string reason_of(int status) {
    return "SIP;cause=" + std::to_string(status) + ";text=\"" + std::string(reason_phrase(status)) + '"';
}

bool gives_way(GiveWay when, int status) {
    switch (when) {
        case GiveWay::outage: return status == 503 || status == 408;
        case GiveWay::trouble:
            return status == 408 || (status >= 500 && status < 600) || status == 401 || status == 403 || status == 407;
        case GiveWay::refusal: return status >= 300;
    }
    return false;
}

bool is_outage(int status) {
    return status == 408 || status == 500 || status == 503 || status == 504;
}

void judge_centre(Exchange& exchange, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
                  net::Now now) {
    if (!exchange.monitor || branch.target.path != Path::central || status <= 100) return;
    // What comes after ringing is about the callee.
    if (!is_outage(status) || branch.status > 100) return exchange.monitor->request_went_through();
    if (status == 503 && retry_after_s) return exchange.monitor->asked_for_rest(std::chrono::seconds(*retry_after_s), now);
    exchange.monitor->request_failed(now);
}

int rank_of(int status) {
    if (status >= 600) return 0;
    if (status == 401 || status == 407 || status == 415 || status == 420 || status == 484) return 400;
    if (status == 408 || status == 482) return 499;  // says least about the callee
    return status < 400 ? 300 : status < 500 ? 401 : 500 + status % 100;
}

}  // namespace voice
