#include "voice/accounts.hpp"

namespace voice {

bool Accounts::ask(const NodeId& node, net::Now now) {
    const auto flow = exchange_.to_node(node);
    if (!flow) return false;
    const auto uri = Uri::of("", flow->remote);
    auto options = Message::request("OPTIONS", uri);
    auto from = NameAddr::of(Uri::of("meshd", exchange_.local_toward(*flow)));
    from.params.set("tag", exchange_.transactions.make_tag());
    options.set_to(NameAddr::of(uri));
    options.set_from(from);
    options.set("Call-ID", exchange_.new_token());
    options.set("CSeq", CSeq{++cseq_, "OPTIONS"}.text());
    options.set(kAccountsHeader, "calls");
    const auto id = exchange_.transactions.start(std::move(options), *flow, exchange_.sent_by(*flow), now);
    if (id == 0) return false;
    asked_[id] = node;
    return true;
}

bool Accounts::take(ClientId id, const Message& response) {
    const auto asked = asked_.find(id);
    if (asked == asked_.end()) return false;
    if (response.status() < 200) return true;
    exchange_.events.emplace_back(AccountsTold{asked->second, std::string(response.status() < 300 ? response.body() : "")});
    asked_.erase(asked);
    return true;
}

bool Accounts::arrived(const RequestArrived& event) {
    if (!event.message.is("OPTIONS") || !event.message.has(kAccountsHeader)) return false;
    const auto node = exchange_.node_of(event.flow);
    if (!node) return false;
    exchange_.events.emplace_back(AccountsAsked{event.id, *node});
    return true;
}

void Accounts::tell(ServerId id, std::string text, net::Now now) {
    if (exchange_.transactions.request_of(id) == nullptr) return;
    auto response = exchange_.response_to(id, 200);
    response.set_body("application/json", std::move(text));
    exchange_.transactions.respond(id, response, now);
}

}  // namespace voice
