/// Other nodes' accounts of the calls that they carried together with us, asked for by an OPTIONS through the mesh. What
/// they say is the owner's to read and to write: here it is a text.
///
///   meshd --OPTIONS, Meshd-Accounts--> meshd elsewhere        meshd <--200, application/json--- meshd elsewhere
#pragma once

#include <map>

#include "voice/exchange.hpp"

namespace voice {

/// In an OPTIONS of another node: it asks for accounts.
inline constexpr std::string_view kAccountsHeader = "Meshd-Accounts";

class Accounts {
public:
    explicit Accounts(Exchange& exchange) : exchange_(exchange) {}

    /// AccountsTold follows, if it is answered before the transaction ends. False: it is not reached over the mesh now.
    bool ask(const NodeId& node, net::Now now);
    /// An answer to an OPTIONS from the mesh; false if it is not to one of these.
    bool take(ClientId id, const Message& response);
    void ended(ClientId id) { asked_.erase(id); }
    /// True if it is another node's question: AccountsAsked follows.
    bool arrived(const RequestArrived& event);
    void tell(ServerId id, std::string text, net::Now now);

private:
    Exchange& exchange_;
    std::map<ClientId, NodeId> asked_;
    std::uint32_t cseq_ = 0;
};

}  // namespace voice
