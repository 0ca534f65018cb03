/// The DNS server of a live node: zones from its roster, sockets, and systemd-resolved where that runs. Control thread only.
#pragma once

#include <array>

#include "dns/respond.hpp"
#include "meshd/config.hpp"
#include "meshd/dns_contents.hpp"
#include "meshd/dns_sockets.hpp"

namespace meshd {

class Resolved;

class DnsService {
public:
    using Counts = std::array<std::uint64_t, dns::kOutcomes>;

    /// All references are borrowed for life. `device` is the TUN device's index.
    DnsService(loop::Loop& loop, const Config& config, const mesh::Node& node, std::uint32_t device);
    ~DnsService();

    /// The roster (then `users`), or what can be reached of it, has changed: the next question is answered by what is there
    /// then, or, in large meshes, was at most a second ago.
    void changed(bool users);
    /// Addresses, of this machine or of the node, may have changed.
    void follow_addresses();

    /// As of now.
    const dns::Zones& zones();
    const DnsSockets& sockets() const { return *sockets_; }
    const Counts& counts() const { return counts_; }
    const Resolved* resolved() const { return resolved_.get(); }  ///< null where it is not to be told

private:
    net::Bytes answer(net::ByteView message, const net::IpAddress& from, const net::IpAddress& to, bool by_tcp);
    void doors_changed();
    void tell_resolved();
    void resolved_changed();

    loop::Loop& loop_;
    const DnsConfig& config_;
    const mesh::Node& node_;
    std::uint32_t device_;
    DnsNaming naming_;
    dns::Zones zones_;
    net::Steady made_{};
    DnsNumbers numbers_;
    bool stale_ = true, numbers_stale_ = true;
    Counts counts_{};
    std::map<net::IpAddress, std::string> told_;  ///< troubles of doors that are in the log
    std::unique_ptr<DnsSockets> sockets_;
    std::unique_ptr<Resolved> resolved_;
    loop::Timer resolved_timer_;  ///< many changes are one
    std::string told_of_resolved_;
};

}  // namespace meshd
