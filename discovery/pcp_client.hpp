/// A client of one gateway's PCP (RFC 6887), and of its NAT-PMP (RFC 6886) where it speaks only that: keeps one UDP port
/// mapped. Passive.
///
///   idle --(due)--> asking --(success)--> idle, mapped; asked again at half the lifetime
///                     |  ^--(no answer: again, ever more slowly)
///                     '--(error)--> idle, asked again when the error may be over
///   release() --> releasing --(answer, or a second)--> idle for good
///
/// PCP goes first. A gateway that answers in version 0, or answers NAT-PMP where PCP is met with silence, is spoken to by
/// NAT-PMP from then on: what our address is there, then the mapping. It is an IPv4 gateway's only.
#pragma once

#include "discovery/nat_pmp.hpp"
#include "discovery/pcp.hpp"
#include "net/random.hpp"
#include "net/time.hpp"

namespace discovery {

/// A datagram to a gateway.
struct GatewayDatagram {
    net::Endpoint to;
    net::Bytes bytes;
};

class PcpClient {
public:
    struct Settings {
        net::Endpoint gateway;           ///< its port is PCP's
        net::IpAddress local;            ///< ours, that datagrams to the gateway leave from
        std::uint16_t port = 0;          ///< UDP, of this machine
        pcp::Nonce nonce{};              ///< the same after a restart, or the gateway takes us for another program
    };
    enum class Protocol : std::uint8_t { pcp, nat_pmp };
    struct Mapping {
        net::Endpoint external;          ///< its port is not 0; its address is what the gateway says, and may be anything
        net::Steady until{};
        bool operator==(const Mapping&) const = default;
    };

    /// Asks at once. `random` must outlive this.
    PcpClient(const Settings& settings, net::Random& random, net::Now now);

    /// From whomever: what is not from the gateway, or answers nothing, is passed over.
    void receive(net::ByteView datagram, const net::Endpoint& from, net::Now now);
    /// What came to the port of announcements, where anybody may write what is heard by all. A gateway that has begun anew
    /// says so there: it is asked then, and no more is believed of it than its answer to that.
    void announced(net::ByteView datagram, const net::Endpoint& from, net::Now now);
    /// The network says that nobody listens there.
    void unreachable(net::Now now);
    /// At once, though no more often than a gateway is ever asked; what stands stands until it answers.
    void ask_again(net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<GatewayDatagram> take_datagrams();

    /// Deletes the mapping. Over when released(): after an answer, or within kReleaseWithin.
    void release(net::Now now);
    bool released() const { return ended_; }

    const std::optional<Mapping>& mapping() const { return mapping_; }
    Protocol protocol() const { return protocol_; }
    /// Why there is no mapping, or why the last request for it has failed; empty if all is well, or nothing is known yet.
    const std::string& trouble() const { return trouble_; }
    /// The gateway has not given a mapping when it should have: it refuses, nobody listens, or all is silent so far.
    bool in_vain() const { return !mapping_ && (!trouble_.empty() || sent_ > 1); }

    static constexpr auto kLifetime = std::chrono::hours(2);
    static constexpr auto kReleaseWithin = std::chrono::seconds(1);

private:
    enum class State : std::uint8_t { idle, asking, releasing };

    void ask(net::Now now);
    void send(net::Now now);
    void send_release(net::Now now);
    void succeeded(const net::Endpoint& external, std::uint32_t lifetime_s, net::Now now);
    void refused(std::string why, net::Duration wait, net::Now now);
    void heard_pcp(const pcp::Response& response, net::Now now);
    void heard_nat_pmp(const nat_pmp::Response& response, net::Now now);
    void heard_announcement(const pcp::Response& response, net::Now now);
    void heard_announcement(const nat_pmp::Response& response, net::Now now);
    void ask_soon(net::Now now);
    bool epoch_goes_on(std::uint32_t epoch_s, net::Now now) const;
    net::Duration spread(net::Duration about);
    net::Duration until_renewal(net::Duration left);

    Settings settings_;
    net::Random& random_;
    Protocol protocol_ = Protocol::pcp;
    State state_ = State::idle;
    net::Steady next_{};            ///< idle: when to ask; else: when to send again
    net::Steady sent_at_{};         ///< when the last request left
    net::Steady release_until_{};
    net::Duration wait_{};          ///< for an answer to what was sent last
    unsigned sent_ = 0;             ///< in this exchange
    unsigned refusals_ = 0;         ///< in a row
    bool answered_ = false;         ///< the gateway has said anything at all
    bool ended_ = false;
    net::IpAddress address_;        ///< NAT-PMP: external; none until it is known in this exchange
    struct Epoch {
        std::uint32_t said_s = 0;
        net::Steady at{};
    };
    std::optional<Epoch> epoch_;    ///< of its last answer to a request
    std::optional<Mapping> mapping_;
    std::string trouble_;
    std::vector<GatewayDatagram> outbox_;
};

}  // namespace discovery
