/// Joining: from a token to a place in the mesh.
///
///   newcomer                          member (any)                         issuer (the admin that made the token)
///   WireGuard handshake with the    ->  accepts that key while its
///   key seeded from the token           invitation stands
///   JoinRequest, signed over the    ->  JoinRequest, checked against     ->  checks the token's signature too; spends the
///   handshake's hash with both          its own session's hash               invitation by signing a member record that
///   its new key and the token's                                              names it; durable first
///   JoinReply: its member record,   <-  JoinReply                        <-
///   the signers' chain, who to meet
///
/// Every step may be lost and is repeated; the same newcomer gets the same answer until the token expires.
#pragma once

#include "mesh/control_frame.hpp"
#include "mesh/identity.hpp"
#include "mesh/roster.hpp"
#include "mesh/token.hpp"
#include "mesh/virtual_endpoint.hpp"
#include "mesh/wireguard.hpp"

namespace mesh {

/// What the newcomer signs, with its node key and with the token's.
net::Bytes join_statement(const net::NodeKey& mesh_id, const JoinRequest& request);
/// Whether both signatures hold: whoever asks has the node key, and the token. The second is what keeps a member, who
/// knows every invitation's public half, from "carrying" a newcomer that nobody has invited.
bool verify_join(const net::NodeKey& mesh_id, const JoinRequest& request);
/// Why an invitation does not (or no longer) admit this newcomer; nullopt: it does.
std::optional<Refusal> refuse_join(const View& view, const JoinRequest& request, net::Wall now);

/// The newcomer's side. Passive; owns its WireGuard instance, which is not the later node's.
class Joiner {
public:
    struct Joined {
        NodeIdentity identity;
        std::vector<net::Bytes> records;  ///< to begin the roster with; store them before starting a Node
        std::vector<std::pair<net::TunnelKey, net::Endpoint>> contacts;  ///< that answered: the first of the endpoint cache
    };
    enum class State : std::uint8_t { connecting, asking, joined, failed };

    /// Makes new node and tunnel keys. A token that has expired fails at once.
    Joiner(const Token& token, net::Random& random, net::Now now);

    void receive(net::MutableBytes datagram, const net::Endpoint& from, net::Now now);
    /// A stream to `remote` stands, one of take_streams_wanted(): datagrams to stream_endpoint(id) are its, and what it brings
    /// is for receive().
    void stream_opened(StreamId id, const net::Endpoint& remote, net::Now now);
    void stream_closed(StreamId id, net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<Datagram> take_datagrams();
    /// Where to dial now, as UDP has brought no answer (kStreamsAfter). Until one does each is told again every so often.
    std::vector<net::Endpoint> take_streams_wanted() { return std::exchange(streams_wanted_, {}); }

    State state() const { return state_; }
    /// For a person: what it waits for, or why it failed (the mesh's own reason, or that nobody answered).
    std::string status() const;
    /// Once, in State::joined.
    Joined take_joined();

    static constexpr auto kAskEvery = std::chrono::seconds(1);
    static constexpr auto kGiveUpAfter = std::chrono::seconds(60);
    static constexpr auto kStreamsAfter = std::chrono::seconds(3), kStreamsAgain = std::chrono::seconds(15);

private:
    struct Contact {
        net::TunnelKey key;
        std::vector<net::Endpoint> endpoints;
        std::vector<net::Endpoint> streams;  ///< to dial
        std::optional<Hash> handshake;  ///< of the live session
        net::Endpoint endpoint;         ///< that answered
        net::Steady next_ask{};
        std::map<std::uint8_t, std::vector<net::Bytes>> parts;
    };
    void ask(Contact& contact, net::Now now);
    void drain(net::Now now);
    void heard(Contact& contact, const JoinReply& reply);
    void finish(Contact& contact);
    void fail(std::string why);

    Token token_;
    net::Random& random_;
    State state_ = State::connecting;
    net::NodeSecret node_secret_;
    net::TunnelSecret tunnel_secret_;
    WireGuard wireguard_;
    std::uint64_t id_ = random_.u64();
    std::vector<Contact> contacts_;
    net::Steady give_up_;
    net::Steady next_try_{};
    unsigned tries_ = 0;
    std::vector<Datagram> datagrams_;
    net::Steady next_streams_{};
    std::vector<net::Endpoint> streams_wanted_;
    std::string why_;
    Joined joined_;
};

}  // namespace mesh
