/// Keeps the node's port mapped at the gateways of this machine, so that others reach it from beyond their NAT. One
/// PortMapping a gateway, on sockets and a timer. Control thread only.
#pragma once

#include "discovery/port_mapping.hpp"
#include "loop/stream.hpp"
#include "loop/timer.hpp"
#include "loop/udp.hpp"

namespace meshd {

class LivePortMapping {
public:
    /// Does nothing before set_gateways(). `port` is the node's, `secret` the node's own and the same after a restart.
    /// `changed` is called with all endpoints where others can reach us, when they have changed. References are borrowed
    /// for life.
    LivePortMapping(loop::Loop& loop, net::Random& random, std::uint16_t port, net::Bytes secret,
                    std::function<void(std::vector<net::Endpoint>)> changed);
    ~LivePortMapping();
    LivePortMapping(const LivePortMapping&) = delete;
    LivePortMapping& operator=(const LivePortMapping&) = delete;

    /// The next hops of the default routes as they are now, their ports 0. Also to be called when anything else near has
    /// changed: they are asked again. What is mapped at those that are no longer among them is deleted there, within
    /// discovery::PortMapping::kReleaseWithin.
    void set_gateways(const std::vector<net::Endpoint>& gateways);
    /// Deletes what is mapped, then calls `done`: within discovery::PortMapping::kReleaseWithin, from here if there is
    /// nothing to do.
    void release(std::function<void()> done);
    std::vector<discovery::MappingReport> reports() const;

private:
    struct Asked;
    void listen_for_announcements(const net::IpAddress& family);
    void follow_gateways();
    void ask(const net::Endpoint& gateway, const net::IpAddress& local);
    void announced(const loop::Received& datagram);
    void drop(std::unique_ptr<Asked> asked);
    void send(Asked& asked);
    void heard(Asked& asked, net::ByteView bytes, bool ended);
    void pump();
    void tell(Asked& asked);

    loop::Loop& loop_;
    net::Random& random_;
    const std::uint16_t port_;
    const net::Bytes secret_;
    const std::function<void(std::vector<net::Endpoint>)> changed_;
    loop::Timer timer_;
    std::vector<std::unique_ptr<Asked>> asked_;                  ///< one a gateway
    std::vector<std::unique_ptr<Asked>> dropped_;                ///< until they have released what they held
    std::vector<std::unique_ptr<loop::UdpSocket>> announcements_;  ///< one a family
    std::vector<net::Endpoint> gateways_;
    unsigned tries_ = 0;              ///< of following them
    net::Steady try_again_ = net::kNever;
    std::vector<net::Endpoint> told_;
    std::function<void()> released_;
};

}  // namespace meshd
