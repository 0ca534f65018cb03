#include "voice/pager.hpp"

#include <algorithm>
#include <ctime>

namespace voice {

namespace {

constexpr auto kStoreWithin = std::chrono::seconds(10);  // or the sender is told that it was not
constexpr auto kLookEvery = std::chrono::milliseconds(200);
constexpr std::size_t kLookAt = 100;   // people at a time
constexpr std::size_t kAtOnce = 32;    // deliveries: a call finds room beside them
constexpr auto kFirstWait = std::chrono::seconds(5);
constexpr auto kLongestWait = std::chrono::minutes(5);

/// What says that nobody has it, rather than that somebody does not want it.
bool is_absence(int status) {
    return is_outage(status) || status == 404 || status == 430 || status == 480 || status == 482;
}
/// 403: a node that has not heard of a new user yet.
bool may_change(int status) {
    return is_absence(status) || status == 403 || status == 486 || status == 487 || status == 491 || status == 600;
}

/// RFC 3261 section 20.17: when it was sent, as it may be read days later.
std::string date_of(net::Wall at) {
    const auto seconds = static_cast<std::time_t>(net::unix_seconds(at));
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto two = [](int number) { return (number < 10 ? "0" : "") + std::to_string(number); };
    return std::string(kDays[utc.tm_wday]) + ", " + two(utc.tm_mday) + ' ' + kMonths[utc.tm_mon] + ' ' +
           std::to_string(1900 + utc.tm_year) + ' ' + two(utc.tm_hour) + ':' + two(utc.tm_min) + ':' + two(utc.tm_sec) + " GMT";
}

}  // namespace

bool Pager::queued(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now) {
    if (!mailbox_.has(caller, callee)) return false;
    keep(event.id, event.message, caller, callee, false, now);
    return true;
}

bool Pager::may_keep(const Fork& fork) const {
    if (fork.from.side != Side::phone) return false;
    bool asked_centre = false;
    for (const auto& branch : fork.branches) {
        if (branch.target.path != Path::central) continue;
        asked_centre = true;
        if (branch.status >= 200 && !is_outage(branch.status)) return false;
    }
    const auto callee = lookup_.callee_of(fork.request.uri());
    if (!exchange_.directory().user(callee)) return false;
    return !asked_centre || lookup_.may_speak_for(Lookup::caller_of(fork.request), fork.from);
}

bool Pager::keep(const Fork& fork, bool quietly, net::Now now) {
    const auto caller = Lookup::caller_of(fork.request);
    return keep(fork.id, fork.request, caller, lookup_.callee_of(fork.request.uri()), quietly, now);
}

bool Pager::keep(ServerId id, const Message& request, const Aor& caller, const Aor& callee, bool quietly, net::Now now) {
    auto message = request;
    for (const auto* name : {"Route", "Record-Route", "P-Asserted-Identity", "Remote-Party-ID", "Max-Breadth"}) {
        message.remove(name);
    }
    message.remove(kKeptHeader);
    credentials_.consume(message);
    if (!message.has("Date")) message.set("Date", date_of(now.wall));
    const auto kept = mailbox_.put(message, caller, callee, now);
    if (!kept) {
        if (quietly) return false;
        switch (kept.error()) {
            case Mailbox::Refusal::callee_full:
                exchange_.answer(id, 480, now, "Too many messages wait for this user");
                break;
            case Mailbox::Refusal::caller_full:
                exchange_.answer(id, 480, now, "Too many messages of yours wait");
                break;
            case Mailbox::Refusal::full:
                exchange_.answer(id, 503, now, "No room for more messages");
                break;
            case Mailbox::Refusal::too_large:
                exchange_.answer(id, 413, now);
                break;
            case Mailbox::Refusal::expired:
                exchange_.answer(id, 480, now);
                break;
        }
        return false;
    }
    unanswered_.insert_or_assign(id, Unanswered{*kept, now.steady + kStoreWithin});
    next_look_ = std::min(next_look_, now.steady + kLookEvery);
    return true;
}

bool Pager::refused(const Fork& fork, int status, net::Now now) {
    const auto at = under_way_.find(fork.id);
    if (at != under_way_.end()) {
        const auto message = at->second;
        held_.erase(message);
        under_way_.erase(at);
        if (may_change(status)) return true;
        forget(message);
        return false;
    }
    if (!is_absence(status) || !may_keep(fork)) return false;
    keep(fork, false, now);
    return true;
}

void Pager::ended(const Fork& fork, int status, net::Now now) {
    const bool taken = status >= 200 && status < 300;
    if (fork.from.side != Side::phone) {
        const bool by_centre = fork.from.side == Side::centre;
        if (const auto here = arriving_.find(Mailbox::delivery_of(fork.request, by_centre)); here != arriving_.end()) arriving_.erase(here);
        if (taken) mailbox_.note_delivered(fork.request, by_centre, fork.request.has(kKeptHeader), now);
    }
    const auto at = under_way_.find(fork.id);
    if (at == under_way_.end()) return;
    held_.erase(at->second);
    if (taken) forget(at->second);
    under_way_.erase(at);
}

void Pager::forget(std::uint64_t message) {
    mailbox_.remove(message);
    std::erase_if(unanswered_, [&](const auto& entry) { return entry.second.message == message; });
}

std::optional<int> Pager::known(const Message& message, Side from, net::Now now) const {
    // The centre sends one to each phone of a user, so what it has brought says nothing of what it brings.
    std::optional<int> out;
    for (const bool by_centre : {false, true}) {
        if (by_centre && from == Side::centre) break;
        if (mailbox_.was_delivered(message, by_centre, now)) return 200;
        // A phone is thinking about it: whoever has it will come again.
        if (arriving_.contains(Mailbox::delivery_of(message, by_centre))) out = 480;
    }
    return out;
}

void Pager::registered(const Aor& aor, net::Now now) {
    if (mailbox_.waiting(aor) == 0) return;
    auto& callee = callees_[aor];
    callee.wait = {};
    callee.next_try = now.steady;
    look_for(aor, now);
}

void Pager::stored(std::uint64_t batch, net::Now now) {
    for (const auto message : mailbox_.stored(batch)) {
        const auto waits = std::find_if(unanswered_.begin(), unanswered_.end(),
                                        [&](const auto& entry) { return entry.second.message == message; });
        if (waits != unanswered_.end()) {
            exchange_.answer(waits->first, 202, now);
            unanswered_.erase(waits);
        }
        if (const auto* kept = mailbox_.find(message)) look_for(Aor(kept->callee), now);
    }
}

void Pager::restore(const std::map<std::string, net::Bytes>& values, net::Now now) {
    mailbox_.restore(values, now);
    if (mailbox_.size() > 0) next_look_ = now.steady;
}

void Pager::tick(net::Now now) {
    while (!patience_.empty() && patience_.front().first <= now.steady) {
        const auto id = patience_.front().second;
        patience_.pop_front();
        const auto* fork = forking_.find(id);
        if (fork == nullptr || fork->final_status != 0 || !may_keep(*fork) || !keep(*fork, true, now)) continue;
        const auto message = unanswered_.at(id).message;
        under_way_[id] = message;
        held_.insert(message);
    }
    if (next_look_ <= now.steady) look(now);
}

net::Steady Pager::next_deadline() const {
    return patience_.empty() ? next_look_ : std::min(next_look_, patience_.front().first);
}

void Pager::give_up_storing(net::Now now) {
    std::vector<std::uint64_t> unstored;
    std::erase_if(unanswered_, [&](const auto& entry) {
        if (entry.second.until > now.steady) return false;
        unstored.push_back(entry.second.message);
        exchange_.answer(entry.first, 503, now, "It cannot be stored");
        return true;
    });
    for (const auto message : unstored) mailbox_.remove(message);
}

void Pager::look(net::Now now) {
    give_up_storing(now);
    mailbox_.expire(now.wall);
    const auto next = mailbox_.callees(looked_at_, kLookAt);
    looked_at_ = next.size() < kLookAt ? Aor() : next.back();
    for (const auto& aor : next) look_for(aor, now);
    std::erase_if(callees_, [&](const auto& entry) { return !entry.second.attempt && mailbox_.waiting(entry.first) == 0; });
    next_look_ = mailbox_.size() == 0 ? net::kNever : now.steady + kLookEvery;
}

void Pager::look_for(const Aor& aor, net::Now now) {
    const auto* kept = mailbox_.first(aor);
    if (kept == nullptr || held_.contains(kept->id)) return;
    auto& callee = callees_[aor];
    if (callee.attempt) return;
    const auto targets = lookup_.everywhere(aor, Flow{});
    std::string where;
    for (const auto& target : targets) where += target.token + target.flow.remote.text() + ' ';
    if (where != callee.where) {
        callee.where = std::move(where);
        callee.wait = {};
        callee.next_try = now.steady;
    }
    if (targets.empty() || now.steady < callee.next_try || client_of_.size() >= kAtOnce) return;
    callee.attempt = Attempt{kept->id, {}, false};
    send(aor, callee, targets, now);
}

void Pager::send(const Aor& aor, Callee& callee, const std::vector<Target>& targets, net::Now now) {
    auto request = mailbox_.find(callee.attempt->message)->message;
    request.remove("Via");
    request.set_max_forwards(70);
    for (const auto& target : targets) {
        auto copy = request;
        copy.set_uri(target.uri);
        copy.set_addresses("Route", target.routes);
        if (target.path == Path::mesh) copy.set(kKeptHeader, "1");
        const auto id = exchange_.transactions.start(std::move(copy), target.flow, exchange_.sent_by(target.flow), now);
        if (id == 0) continue;
        client_of_[id] = aor;
        callee.attempt->clients.push_back(id);
    }
    if (callee.attempt->clients.empty()) over(aor, callee, 503, now);
}

bool Pager::response(ClientId id, int status, net::Now now) {
    const auto at = client_of_.find(id);
    if (at == client_of_.end()) return false;
    if (status < 200) return true;
    const auto aor = at->second;
    client_of_.erase(at);
    auto& callee = callees_.at(aor);
    auto& attempt = *callee.attempt;
    std::erase(attempt.clients, id);
    attempt.hopeful |= may_change(status);
    if (status < 300) {
        over(aor, callee, status, now);
    } else if (attempt.clients.empty()) {
        over(aor, callee, attempt.hopeful ? 480 : status, now);
    }
    return true;
}

void Pager::over(const Aor& aor, Callee& callee, int status, net::Now now) {
    const auto attempt = *callee.attempt;
    callee.attempt.reset();
    for (const auto id : attempt.clients) client_of_.erase(id);
    if (may_change(status)) {
        callee.wait = callee.wait == net::Duration{} ? net::Duration(kFirstWait) : std::min<net::Duration>(2 * callee.wait, kLongestWait);
        callee.next_try = now.steady + callee.wait;
        return;
    }
    forget(attempt.message);
    callee.wait = {};
    callee.next_try = now.steady;
    look_for(aor, now);
}

}  // namespace voice
