/// A client of one gateway's UPnP (Internet Gateway Device): keeps one UDP port mapped. IPv4. Passive: it says what to search
/// for and what to ask by HTTP, and is told the answers.
///
///   idle --(due)--> searching -> describing -> asking its address -> mapping --> idle, mapped; asked again soon
///        <--(no answer, or an error)--'                   ^-----(renewal)-----'
///   release() --> releasing --(answer, or kReleaseWithin)--> over
///
/// Only the gateway itself is believed and spoken to: another machine's answer, or a description that leads elsewhere, is
/// passed over. So neither a neighbour nor a gateway can have us send requests to somebody.
#pragma once

#include "discovery/pcp_client.hpp"
#include "discovery/upnp.hpp"

namespace discovery {

class UpnpClient {
public:
    /// One request on a TCP connection of its own. One at a time: an earlier one is given up.
    struct Exchange {
        std::uint64_t id = 0;
        net::Endpoint to;
        net::Bytes request;
    };
    struct Settings {
        net::IpAddress gateway;
        net::IpAddress local;
        std::uint16_t port = 0;  ///< UDP, of this machine
    };
    using Mapping = PcpClient::Mapping;

    /// Searches at once. `random` must outlive this.
    UpnpClient(const Settings& settings, net::Random& random, net::Now now);

    void receive(net::ByteView datagram, const net::Endpoint& from, net::Now now);
    /// What has come so far of the answer to an exchange; true if no more is needed. `ended`: no more will come.
    bool answered(std::uint64_t id, net::ByteView bytes, bool ended, net::Now now);
    void ask_again(net::Now now);
    void tick(net::Now now);
    net::Steady next_deadline() const;
    std::vector<GatewayDatagram> take_datagrams();
    std::optional<Exchange> take_exchange();

    /// Deletes what stands at the gateway, or may, whatever else is going on. Over when released(): after an answer, or within
    /// kReleaseWithin.
    void release(net::Now now);
    bool released() const { return state_ == State::over; }

    const std::optional<Mapping>& mapping() const { return mapping_; }
    const std::string& trouble() const { return trouble_; }  ///< as PcpClient's

    static constexpr std::size_t kLargestAnswerBytes = 65536;
    /// The pieces that an answer may come in: at each, what has come is looked at from its beginning.
    static constexpr unsigned kMostPieces = 1000;
    static constexpr auto kLease = std::chrono::hours(1);
    static constexpr auto kReleaseWithin = std::chrono::seconds(1);

private:
    enum class State : std::uint8_t { idle, searching, describing, asking_address, mapping, releasing, over };

    void search(net::Now now);
    void exchange(State state, const net::Endpoint& to, net::Bytes request, net::Now now);
    void ask_address(net::Now now);
    void map(net::Now now);
    void heard(const upnp::HttpAnswer& answer, net::Now now);
    void heard_address(const upnp::HttpAnswer& answer, net::Now now);
    void heard_mapped(const upnp::HttpAnswer& answer, net::Now now);
    void refused(std::string why, net::Now now);
    void exchange_failed(net::Now now);

    Settings settings_;
    net::Random& random_;
    State state_ = State::idle;
    net::Steady next_{};           ///< idle: when to begin; else: when to search again, or to give up
    net::Steady began_{};
    unsigned searches_ = 0;        ///< in this turn
    unsigned refusals_ = 0;        ///< in a row
    unsigned conflicts_ = 0;       ///< in this turn
    std::uint64_t last_id_ = 0;
    unsigned pieces_ = 0;          ///< of its answer, so far
    upnp::Url description_;
    std::vector<upnp::Service> services_;  ///< the first is in use
    net::IpAddress address_;
    std::uint16_t external_port_ = 0;
    bool permanent_ = false;       ///< it gives no leases
    /// A mapping, and the service that has it: to be deleted there, even where that is searched for anew.
    struct Standing {
        upnp::Service service;
        std::uint16_t port = 0;
    };
    std::optional<Standing> standing_;
    std::optional<Standing> asked_for_;  ///< and not answered
    std::optional<Mapping> mapping_;
    std::string trouble_;
    std::vector<GatewayDatagram> outbox_;
    std::optional<Exchange> exchange_;
};

}  // namespace discovery
