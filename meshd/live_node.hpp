/// A Core on real ground: the TUN device, the data threads, sockets for SIP, the media thread, discovery, the store.
/// Exists while this machine belongs to a mesh. Control thread only.
///
///   anything comes in -> Core -> pump(): what is to be stored goes to the store, what is to be sent to the sockets,
///   tables to the data threads, addresses and routes to the device; then the timer is set to Core's next deadline.
#pragma once

#include <set>

#include "loop/clock_watch.hpp"
#include "meshd/call_accounts.hpp"
#include "meshd/core.hpp"
#include "meshd/data_threads.hpp"
#include "meshd/further_sockets.hpp"
#include "meshd/live_discovery.hpp"
#include "meshd/live_port_mapping.hpp"
#include "meshd/live_streams.hpp"
#include "meshd/masquerade.hpp"
#include "meshd/media_thread.hpp"
#include "meshd/name_service.hpp"
#include "meshd/offered_subnets.hpp"
#include "meshd/saved_answers.hpp"
#include "meshd/sip_sockets.hpp"
#include "meshd/sip_tls.hpp"
#include "meshd/store.hpp"
#include "tun/addressing.hpp"
#include "tun/device.hpp"
#include "tun/exit_routing.hpp"
#include "tun/gateways.hpp"
#include "tun/network_watch.hpp"

namespace meshd {

class DnsService;

/// The store's value under which endpoints are kept that a person named at `init`, and how they are written there.
inline constexpr const char* kAdvertiseValue = "advertise";
net::Bytes to_value(const std::vector<net::Endpoint>& endpoints);

class LiveNode {
public:
    /// Takes what the store had, identity included. All references are borrowed for life. Throws std::runtime_error
    /// with what to do if the device, a port or the state cannot be had.
    LiveNode(loop::Loop& loop, const Config& config, Store& store, StoredState state, net::Random& random);
    /// Tells the peers that it leaves. Device, addresses and routes go with it.
    ~LiveNode();
    LiveNode(const LiveNode&) = delete;
    LiveNode& operator=(const LiveNode&) = delete;

    Core& core() { return *core_; }
    /// After every call to core() that may have changed something.
    void pump();
    /// A member may be there, as the join exchange or a person says.
    void add_contact(const net::TunnelKey& tunnel_key, const net::Endpoint& endpoint);

    net::Now now() const { return loop_.now(); }
    std::chrono::steady_clock::duration up_for() const { return loop_.now().steady - started_; }
    const mesh::DropCounters& drops();
    /// What DNS says of a number; nullptr without voice.
    NameService* names() { return names_.get(); }
    CallAccounts* call_accounts() { return accounts_.get(); }  ///< nullptr without voice
    /// The names that this node serves; nullptr where that is off.
    DnsService* dns() { return dns_.get(); }
    const DnsService* dns() const { return dns_.get(); }
    /// Of the gateways of this machine; none where that is off.
    std::vector<discovery::MappingReport> port_mappings() const;
    /// Deletes them, as this node is about to end; then calls `done`, perhaps from here, a second later at most.
    void release_port_mappings(std::function<void()> done);
    const SipSockets::Counters* sip_counters() const { return sip_ ? &sip_->counters() : nullptr; }
    const SipSockets* sip() const { return sip_.get(); }
    const SipTls* sip_tls() const { return sip_tls_.get(); }  ///< null where phones have no TLS
    bool sip_overloaded() const { return sip_ && sip_->overload().is_overloaded(); }
    const MediaThread* media() const { return media_.get(); }
    const mesh::Node& node() const { return core_->node(); }
    const tun::Device& device() const { return *device_; }
    const OfferedSubnets& offered_subnets() const { return offered_subnets_; }
    const DataThreads& data() const { return *threads_; }
    const Streams& streams() const { return streams_->streams(); }
    const DataConfig& data_config() const { return config_.data; }
    /// To some member datagrams go one by one, as those sent at once did not reach it.
    bool trains_harmful() const { return core_->node().finds_trains_harmful(); }
    /// Switches at run time, those that are given; what the kernel does not have stays off.
    void set_offloads(std::optional<bool> tun, std::optional<bool> udp);
    /// The member through which this machine reaches the Internet, until meshd ends; empty: none. The error says what to do.
    net::Result<void> set_exit(const std::string& name);
    /// What is wrong with the way there, beside the mesh itself, or as an exit for others, in sentences; empty: nothing.
    std::vector<std::string> exit_troubles() const;

private:
    /// What of this machine's network decides how others are reached.
    struct Surroundings {
        std::vector<discovery::LocalAddress> addresses;
        std::vector<std::uint32_t> without_carrier;
        std::vector<tun::Gateway> gateways;
        bool operator==(const Surroundings&) const = default;
    };

    Surroundings surroundings();
    void start_voice();
    void take_upward();
    void send(std::span<const mesh::Datagram> datagrams);
    void store_durable();
    void on_events();
    void tell_who_is_gone();
    void look_at_offloads();
    void retry_segments();
    void settle_device();
    void look_at_network();
    void ours_was_taken();
    void restore_ours();
    void note_exit(const net::Result<tun::ExitRouting::Held>& held);
    void clock_changed(const loop::ClockChange& change);
    void network_changed();
    void map_port(const StoredState& state);
    void follow_gateways();
    std::vector<net::Prefix> attached() const;
    void set_sip_overlay();
    void settle_offer();
    void settle_masquerade();
    void resolve_centre();
    net::IpAddress local_toward(const net::IpAddress& remote);
    void restore_calls(const std::map<std::string, net::Bytes>& values);
    void restore_phones(const std::map<std::string, net::Bytes>& values);
    void store_mail();
    void store_phones(const std::set<voice::Aor>& changed);
    void store_untold_phones();

    loop::Loop& loop_;
    const Config& config_;
    Store& store_;
    net::Random& random_;
    net::Steady started_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  ///< what is posted looks whether this still stands

    std::unique_ptr<MediaThread> media_;
    std::unique_ptr<Core> core_;
    std::optional<tun::Device> device_;
    std::optional<tun::Addressing> addressing_;
    std::optional<tun::NetworkWatch> watch_;
    std::unique_ptr<loop::FdWatch> watch_fd_;
    std::unique_ptr<DataThreads> threads_;
    std::unique_ptr<SipTls> sip_tls_;
    std::unique_ptr<SipSockets> sip_;
    std::unique_ptr<loop::Resolver> resolver_;
    std::unique_ptr<NameService> names_;
    SavedAnswers saved_answers_;
    std::unique_ptr<CallAccounts> accounts_;
    std::unique_ptr<LiveDiscovery> discovery_;
    std::unique_ptr<LiveStreams> streams_;
    std::unique_ptr<FurtherSockets> further_sockets_;
    std::unique_ptr<LivePortMapping> port_mapping_;  ///< null where it is off
    std::unique_ptr<DnsService> dns_;
    loop::Timer timer_;
    loop::Timer network_timer_;  ///< several changes at once are one
    bool network_news_ = false;  ///< network_timer_ runs
    net::Steady looked_at_network_{};
    loop::Timer restore_timer_;  ///< when restore_ours() is due
    net::Steady restored_at_{};
    std::vector<net::Endpoint> local_endpoints_;  ///< as the node was told them
    std::uint64_t spent_for_others_ = 0;          ///< of Node::passed_on_bytes(), what the uplink was told
    std::optional<Surroundings> surroundings_;  ///< as they were last; none: whatever they are, they are new
    std::unique_ptr<loop::ClockWatch> clock_watch_;
    loop::Timer centre_timer_;
    loop::Timer segments_timer_;  ///< until segments, which the kernel refused, are tried again
    bool segments_wait_ = false;
    std::shared_ptr<const mesh::ForwardingTable> table_;
    std::optional<mesh::DeviceConfig> device_config_;
    std::optional<tun::ExitRouting> exit_routing_;
    std::vector<std::string> exit_troubles_;
    std::unique_ptr<Masquerade> masquerade_;
    OfferedSubnets offered_subnets_;
    std::vector<net::Prefix> allowed_;  ///< subnets of the own member record, as last looked at
    std::set<net::Prefix> withdrawn_;   ///< as told
    bool masquerades_ = false;
    std::map<net::IpAddress, net::IpAddress> toward_;  ///< until the network changes
    std::set<std::string> complained_;  ///< once each
    std::set<net::NodeKey> gone_;       ///< revoked members that have been told of
    bool pumping_ = false;
    bool stamps_unstored_ = false;  ///< as told
};

}  // namespace meshd
