#include "voice/proxy.hpp"

#include <algorithm>

#include "voice/accounts.hpp"
#include "voice/centre_lamps.hpp"
#include "voice/dialogs.hpp"
#include "voice/neighbours.hpp"
#include "voice/probe.hpp"
#include "voice/registration.hpp"
#include "voice/requests.hpp"
#include "voice/trunks.hpp"

namespace voice {

struct Proxy::Parts {
    Parts(ProxySettings settings, Environment& environment, net::Random& random, net::Now now)
        : exchange(std::move(settings), environment, random, now),
          forking(exchange),
          calls(exchange),
          credentials(exchange),
          pager(exchange, forking, credentials),
          watching(exchange, calls),
          notifier(exchange, watching, pager.mailbox()),
          centre_lamps(exchange, credentials),
          trunks(exchange),
          requests(exchange, forking, calls, credentials, pager, notifier, trunks),
          dialogs(exchange, forking, calls, credentials, trunks, centre_lamps),
          registration(exchange, forking, credentials),
          probe(exchange),
          neighbours(exchange),
          accounts(exchange),
          mode(exchange.mode()),
          mode_since(now) {}

    void settle(net::Now now);
    void handle(const TransactionEvent& event, net::Now now);
    void arrived(const RequestArrived& event, net::Now now);
    void failed(ClientId id, int status, net::Now now);
    /// Whether it is the answer to a request that we made up ourselves, which has then been dealt with.
    bool is_own(ClientId id, int status, net::Now now);
    /// RFC 3261 section 16.3: the status that refuses the request, or 0.
    int refused(const Message& request) const;

    Exchange exchange;
    Forking forking;
    Calls calls;
    Credentials credentials;
    Pager pager;
    Watching watching;
    Notifier notifier;
    CentreLamps centre_lamps;
    Trunks trunks;
    Requests requests;
    Dialogs dialogs;
    Registration registration;
    Probe probe;
    Neighbours neighbours;
    Accounts accounts;
    std::string mode;
    net::Now mode_since;
    std::uint64_t losses = 0;
    std::uint64_t silences = 0;  ///< after which the centre was still believed up
    std::vector<NameFound> looked_up;
};

Proxy::Proxy(ProxySettings settings, Environment& environment, net::Random& random, net::Now now)
    : parts_(std::make_unique<Parts>(std::move(settings), environment, random, now)) {}
Proxy::~Proxy() = default;

void Proxy::receive(const Flow& flow, net::ByteView bytes, net::Now now) {
    auto& exchange = parts_->exchange;
    ++exchange.counters.received;
    auto known = flow;
    const auto side = exchange.side_of(flow);
    if (!side) {
        ++exchange.counters.stranger;
        return;
    }
    known.side = *side;
    auto message = Message::parse(bytes, flow.reliable());
    if (!message) {
        ++exchange.counters.malformed;
        if (!message.error().response.empty()) exchange.transactions.send(message.error().response, known);
        return;
    }
    // A centre in the phones' own network may send by TCP what is large (RFC 3261 18.1.1), from any port: its Via tells it
    // from a phone on its machine.
    const auto& centre = exchange.settings.centre;
    if (*side == Side::phone && centre && flow.reliable() && flow.remote.address == centre->endpoint.address && message->is_request()) {
        const auto via = message->top_via();
        if (via && via->sent_by() == centre->endpoint.text()) known.side = Side::centre;
    }
    if (*side == Side::outside) {
        exchange.outside.heard(flow.remote, now);
        // Who is called by an address among the phones' may be one of them, too.
        const bool may_be_phone = message->is_request() && message->to_tag().empty() && exchange.is_phone_address(flow.remote.address);
        if (may_be_phone) known.side = Side::phone;
    }
    const bool answer = message->is_response() && *side == Side::centre && exchange.monitor;
    const auto stray = exchange.transactions.counters().stray_responses;
    exchange.transactions.receive(std::move(*message), known, now);
    // One that we did not ask for proves nothing: addresses are easily forged, branches are not.
    if (answer && exchange.transactions.counters().stray_responses == stray) exchange.monitor->answered(now);
    parts_->settle(now);
}

bool Proxy::listens_to(const Flow& flow) const {
    return parts_->exchange.side_of(flow).has_value();
}

std::size_t Proxy::phones_at(const net::IpAddress& address) const {
    return parts_->exchange.location.count_at(address);
}

std::string Proxy::tls_name(const Flow& flow) const {
    const auto& exchange = parts_->exchange;
    if (flow.side == Side::outside) return exchange.outside.tls_name(flow.remote);
    const auto server = exchange.gateways.servers.find(flow.remote);
    return flow.side == Side::trunk && server != exchange.gateways.servers.end() ? server->second.tls_name : std::string();
}

void Proxy::flow_failed(const Flow& flow, FlowFailure why, net::Now now) {
    auto& exchange = parts_->exchange;
    if (exchange.monitor && exchange.is_centre(flow.remote) && flow.transport == exchange.settings.centre->transport) {
        switch (why) {
            case FlowFailure::unreachable:
                exchange.monitor->unreachable(exchange.settings.centre->endpoint.is_none()
                                                  ? "no address is known for its name"
                                                  : "it is unreachable (ICMP)",
                                              now);
                break;
            case FlowFailure::refused:
                exchange.monitor->unreachable("it refuses connections", now);
                break;
            case FlowFailure::reset:
                exchange.monitor->unreachable("it reset the connection", now);
                break;
            case FlowFailure::insecure:
                exchange.monitor->unreachable("it speaks no TLS, or shows a certificate that is not to be trusted", now);
                break;
            case FlowFailure::closed:
            case FlowFailure::unanswered:
                break;  // its silence will tell
        }
    }
    exchange.location.lose_connection(flow.connection, now);
    exchange.transactions.transport_failed(flow, now);
    parts_->settle(now);
}

void Proxy::set_overloaded(bool overloaded) { parts_->exchange.transactions.refuse_new(overloaded); }

void Proxy::set_centre(const Centre& centre, net::Now now) {
    auto& exchange = parts_->exchange;
    exchange.settings.centre = centre;
    if (!exchange.monitor) exchange.monitor.emplace(exchange.settings.centre_times, now);
    parts_->settle(now);
}

net::IpAddress Proxy::centre_among(const std::vector<net::IpAddress>& listed) const {
    const auto& exchange = parts_->exchange;
    if (!exchange.settings.centre) return listed.front();
    const auto present = std::find(listed.begin(), listed.end(), exchange.settings.centre->endpoint.address);
    if (present == listed.end()) return listed.front();
    const bool lost = exchange.monitor && exchange.monitor->state() == CentreMonitor::State::down;
    if (!lost) return *present;
    return std::next(present) == listed.end() ? listed.front() : *std::next(present);
}

void Proxy::tick(net::Now now) {
    auto& parts = *parts_;
    parts.exchange.transactions.tick(now);
    parts.probe.tick(now);
    if (parts.exchange.monitor) parts.exchange.monitor->tick(now);
    parts.neighbours.tick(now);
    parts.forking.tick(now);
    parts.trunks.tick(now);
    parts.exchange.names.tick(now);  // who waits for DNS in vain need not wait longer
    parts.requests.tick(now);
    parts.pager.tick(now);
    parts.watching.tick(now);
    parts.notifier.tick(now);
    parts.centre_lamps.tick(now);
    parts.calls.tick(now);
    parts.exchange.location.tick(now);
    parts.exchange.outside.tick(now);
    parts.settle(now);
}

net::Steady Proxy::next_deadline() const {
    const auto& parts = *parts_;
    auto next = std::min({parts.exchange.transactions.next_deadline(), parts.forking.next_deadline(),
                          parts.trunks.next_deadline(), parts.requests.next_deadline(), parts.calls.next_deadline(),
                          parts.exchange.location.next_deadline(), parts.exchange.names.next_deadline()});
    if (parts.exchange.monitor) next = std::min(next, parts.exchange.monitor->next_deadline());
    return std::min({next, parts.neighbours.next_deadline(), parts.pager.next_deadline(), parts.watching.next_deadline(),
                     parts.notifier.next_deadline(), parts.centre_lamps.next_deadline()});
}

void Proxy::Parts::settle(net::Now now) {
    // A new loss moves what waits for the centre, which may send and so bring events of its own.
    for (unsigned turn = 0; turn < 100; ++turn) {
        if (exchange.monitor && exchange.monitor->losses() != losses) {
            losses = exchange.monitor->losses();
            neighbours.tick(now);
            forking.centre_lost(now);
            centre_lamps.lost(now);
        }
        const bool answers = exchange.monitor && exchange.monitor->state() == CentreMonitor::State::up;
        if (const auto lapses = answers ? exchange.monitor->lapses() - losses : silences; lapses != silences) {
            silences = lapses;
            centre_lamps.may_have_forgotten(now);
        }
        const bool dns_is_all = exchange.monitor && !exchange.centre_up() && exchange.settings.outside != OutsideUse::never;
        exchange.names.expect_callers(dns_is_all, now);
        const auto happened = exchange.transactions.take_events();
        for (const auto& event : happened) handle(event, now);
        auto found = exchange.names.take_found();
        if (happened.empty() && found.empty()) break;
        for (auto& one : found) {
            if (!requests.found(one, now) && !trunks.found(one, now)) looked_up.push_back(std::move(one));
        }
    }
    for (auto& change : calls.take_records(now)) exchange.events.emplace_back(std::move(change));
    watching.look_at_calls(now);
    notifier.follow(pager.take_mail_changed(), now);
    for (auto& change : exchange.location.take_changes(now)) {
        if (change.until) pager.registered(change.aor, now);
        exchange.events.emplace_back(std::move(change));
    }
    if (const auto current = exchange.mode(); current != mode) {
        mode = current;
        mode_since = now;
        exchange.events.emplace_back(ModeChanged{mode, std::string(exchange.monitor ? exchange.monitor->why() : "")});
    }
}

void Proxy::Parts::handle(const TransactionEvent& event, net::Now now) {
    struct Handler {
        Parts& parts;
        net::Now now;
        void operator()(const RequestArrived& e) const { parts.arrived(e, now); }
        void operator()(const AckArrived& e) const { parts.dialogs.ack(e, now); }
        void operator()(const Cancelled& e) const {
            std::string reasons;  // RFC 3326 section 2: one of each protocol
            for (const auto value : e.cancel.get_all("Reason")) reasons += (reasons.empty() ? "" : ", ") + std::string(value);
            parts.requests.cancelled(e.id, reasons, now);
        }
        void operator()(const ResponseArrived& e) const {
            if (parts.accounts.take(e.id, e.message)) return;
            if (e.flow.side == Side::centre) parts.credentials.learn(e.message);
            if (!parts.trunks.response(e, now) && !parts.is_own(e.id, e.message.status(), now)) parts.forking.response(e, now);
        }
        void operator()(const StrayResponse& e) const {
            auto& monitor = parts.exchange.monitor;
            const bool probed = parts.probe.take(e.message, now);
            if (probed) parts.forking.forsaken().centre_answers(now);
            if (probed || parts.forking.forsaken().take(e.message, now)) {
                if (monitor && e.flow.side == Side::centre) monitor->answered(now);
                return;
            }
            if (parts.neighbours.take(e.message)) return;
            ++parts.exchange.counters.stray;
        }
        void operator()(const TimedOut& e) const {
            if (!parts.trunks.failed(e.id, "it does not answer", now)) parts.failed(e.id, 408, now);
        }
        void operator()(const TransportFailed& e) const {
            if (!parts.trunks.failed(e.id, "it cannot be reached", now)) parts.failed(e.id, 503, now);
        }
        void operator()(const ServerEnded& e) const {
            parts.requests.server_ended(e.id);
            parts.forking.server_ended(e.id, e.clean, now);
        }
        void operator()(const ClientEnded& e) const {
            parts.accounts.ended(e.id);
            parts.forking.client_ended(e.id);
        }
    };
    std::visit(Handler{*this, now}, event);
}

void Proxy::Parts::arrived(const RequestArrived& event, net::Now now) {
    if (const auto status = refused(event.message); status != 0) {
        auto response = exchange.response_to(event.id, status);
        if (status == 420) response.set("Unsupported", event.message.get("Proxy-Require").value_or(""));
        exchange.transactions.respond(event.id, response, now);
        return;
    }
    if (watching.takes(event, now)) return;
    if (accounts.arrived(event)) return;
    if (event.message.is("REGISTER")) return registration.arrived(event, now);
    if (!event.message.to_tag().empty()) {
        if (!notifier.takes(event, now) && !centre_lamps.takes(event, now)) dialogs.arrived(event, now);
        return;
    }
    requests.arrived(event, now);
}

void Proxy::Parts::failed(ClientId id, int status, net::Now now) {
    if (!is_own(id, status, now)) forking.failed(id, status, now);
}

bool Proxy::Parts::is_own(ClientId id, int status, net::Now now) {
    return pager.response(id, status, now) || watching.response(id, status, now) || notifier.response(id, status, now) ||
           centre_lamps.response(id, status, now) || requests.response(id, status, now);
}

int Proxy::Parts::refused(const Message& request) const {
    if (!request.uri().is_sip() && !request.uri().is_tel() && !exchange.help_wanted(request)) return 416;
    if (request.max_forwards() == 0U) return 483;
    if (request.via_count() > 1) {  // one that has passed here has our Via and that of who sent it to us
        const auto mark = loop_mark(exchange, request);
        for (const auto& via : request.vias()) {
            if (via.branch().ends_with(mark)) return 482;
        }
    }
    const auto demanded = request.get("Proxy-Require");
    return demanded && !demanded->empty() ? 420 : 0;
}

std::vector<DnsQuestion> Proxy::take_questions() {
    return parts_->exchange.names.take_questions();
}
void Proxy::dns_answered(const DnsQuestion& question, net::ByteView message, net::Now now) {
    parts_->exchange.names.answered(question, message, now);
    parts_->settle(now);
}
void Proxy::dns_unanswered(const DnsQuestion& question, net::Now now) {
    parts_->exchange.names.unanswered(question, now);
    parts_->settle(now);
}
void Proxy::restore_dns(const DnsQuestion& question, net::ByteView message, net::Wall came, net::Now now) {
    parts_->exchange.names.restore(question, message, came, now);
}
std::vector<Names::Learnt> Proxy::take_dns_learnt() { return parts_->exchange.names.take_learnt(); }
NameQuery Proxy::look_up(std::string e164, net::Now now) {
    const auto id = parts_->exchange.names.find_number(std::move(e164), now);
    parts_->settle(now);
    return id;
}
std::vector<NameFound> Proxy::take_looked_up() {
    return std::exchange(parts_->looked_up, {});
}
const Names::Counters& Proxy::name_counters() const {
    return parts_->exchange.names.counters();
}

std::vector<Outgoing> Proxy::take_outgoing() {
    return parts_->exchange.transactions.take_outgoing();
}
std::vector<ProxyEvent> Proxy::take_events() {
    return std::exchange(parts_->exchange.events, {});
}

std::vector<SavedBinding> Proxy::saved(const Aor& aor, net::Now now) const {
    const auto wall = [&](net::Steady at) { return now.wall + (at - now.steady); };
    std::vector<SavedBinding> out;
    for (const auto* b : parts_->exchange.location.of(aor)) {
        std::string path;
        for (const auto& hop : b->path) path += (path.empty() ? "" : ", ") + hop.text();
        out.push_back({b->aor, b->contact.text(), b->token, b->flow.transport, path, b->flow.remote, b->call_id, b->cseq,
                       wall(b->expires), wall(b->centre_expires), wall(b->confirmed)});
    }
    return out;
}

void Proxy::restore(const std::vector<SavedBinding>& bindings, net::Now now) {
    const auto steady = [&](net::Wall at) { return now.steady + (at - now.wall); };
    for (const auto& saved : bindings) {
        auto contact = NameAddr::parse(saved.contact);
        if (!contact || saved.expires <= now.wall) continue;
        Binding binding;
        binding.aor = saved.aor;
        binding.contact = std::move(*contact);
        binding.token = saved.token;
        if (!saved.path.empty()) binding.path = NameAddr::parse_list(saved.path).value_or(std::vector<NameAddr>{});
        binding.flow = parts_->exchange.flow_to(saved.phone, saved.transport, Side::phone);
        binding.flow_lost = binding.flow.reliable() && Location::keeps_flow(binding.contact);
        binding.call_id = saved.call_id;
        binding.cseq = saved.cseq;
        binding.expires = steady(saved.expires);
        binding.centre_expires = steady(saved.centre_expires);
        binding.confirmed = steady(saved.confirmed);
        binding.centre_lapses = UINT64_MAX;  // whatever ended us may have made the centre forget
        binding.since = now;
        parts_->exchange.location.put(std::move(binding), now);
    }
    parts_->settle(now);
}

std::optional<MailBatch> Proxy::take_mail() {
    return parts_->pager.take_batch();
}

void Proxy::mail_stored(std::uint64_t batch, net::Now now) {
    parts_->pager.stored(batch, now);
    parts_->settle(now);
}

void Proxy::restore_mail(const std::map<std::string, net::Bytes>& values, net::Now now) {
    parts_->pager.restore(values, now);
}

std::size_t Proxy::subscriptions() const {
    return parts_->notifier.size();
}

std::size_t Proxy::centre_subscriptions() const {
    return parts_->centre_lamps.serving();
}

std::map<std::string, net::Bytes> Proxy::take_lamps() {
    return parts_->centre_lamps.take_changes();
}

void Proxy::restore_lamps(const std::map<std::string, net::Bytes>& values, net::Now now) {
    parts_->centre_lamps.restore(values, now);
    parts_->silences = UINT64_MAX;  // whatever ended us may have made the centre forget
}

std::vector<MailView> Proxy::mail() const {
    return parts_->pager.mailbox().views();
}

std::vector<PhoneView> Proxy::phones(net::Now now) const {
    std::vector<PhoneView> out;
    for (const auto* b : parts_->exchange.location.all()) {
        const auto left = std::chrono::duration_cast<std::chrono::seconds>(b->expires - now.steady);
        out.push_back({b->aor, b->contact.uri.text(), std::max(left, std::chrono::seconds(0))});
    }
    return out;
}

std::vector<CallView> Proxy::calls() const {
    return parts_->calls.views();
}

const CallHistory& Proxy::call_history() const {
    return parts_->calls.history();
}

bool Proxy::ask_accounts(const NodeId& node, net::Now now) {
    return parts_->accounts.ask(node, now);
}

void Proxy::tell_accounts(std::uint64_t id, std::string text, net::Now now) {
    parts_->accounts.tell(id, std::move(text), now);
}

void Proxy::restore_calls(std::vector<CallRecord> records, net::Now now) {
    parts_->calls.restore(std::move(records), now);
    parts_->settle(now);
}

VoiceView Proxy::voice() const {
    const auto& monitor = parts_->exchange.monitor;
    VoiceView view{parts_->mode, "there is no central server", parts_->mode_since, {}, {}, std::chrono::seconds(0)};
    if (!monitor) return view;
    view.why = monitor->why();
    view.elsewhere = parts_->neighbours.in_words();
    view.centre_state = name_of(monitor->state());
    view.hold_down = std::chrono::duration_cast<std::chrono::seconds>(monitor->hold_down());
    return view;
}

std::vector<TrunkView> Proxy::trunks(net::Now now) const { return parts_->trunks.views(now); }
std::vector<TrunkOffer> Proxy::trunk_offers() const { return parts_->trunks.offers(); }

ProxyCounters Proxy::counters() const {
    auto counters = parts_->exchange.counters;
    const auto& transactions = parts_->exchange.transactions.counters();
    counters.lamps = parts_->centre_lamps.dropped();
    counters.shed = transactions.refused_overload + transactions.refused_full;
    return counters;
}

std::size_t Proxy::transactions() const {
    const auto& transactions = parts_->exchange.transactions;
    return transactions.server_count() + transactions.client_count();
}

std::size_t Proxy::invite_transactions() const { return parts_->exchange.transactions.invite_count(); }
std::size_t Proxy::forks() const { return parts_->forking.size(); }

}  // namespace voice
