#include "tun/device.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/route/link/inet6.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "tun/netlink.hpp"
#include "tun/probe.hpp"
#include "tun/steering.hpp"

namespace tun {
namespace {

constexpr unsigned kSmallestMtuBytes = 1280;  // RFC 8200 section 5
constexpr unsigned kLargestMtuBytes = 65535;
constexpr unsigned kLargestGsoBytes = 65536;  // beyond it, IPv4's length does not hold, and IPv6 needs a jumbo option

// Of TUNSETOFFLOAD. Debian 12's headers lack the last two; its kernel refuses them.
constexpr unsigned kTakesChecksum = 0x01, kTakesTcp = 0x02 | 0x04, kTakesTcpEcn = 0x08, kTakesUdp = 0x20 | 0x40;

std::string open_trouble(int error) {
    std::string message = std::string("cannot open /dev/net/tun: ") + std::strerror(error);
    if (error == ENOENT || error == ENODEV || error == ENXIO) {
        message += "; load the module with `modprobe tun`, in a container pass the device in (--device /dev/net/tun)";
    }
    if (error == EACCES || error == EPERM) message += "; run meshd as root or let its user open that file";
    return message;
}

std::string create_trouble(const std::string& name, int error) {
    std::string message = "cannot create the device " + name + ": ";
    switch (error) {
        case EBUSY:
            return message + "the name is taken; stop the other program or set another \"device\"";
        case EINVAL:
            return message + "an interface of another kind has this name; set another \"device\"";
        case EPERM:
            return message + "not permitted; run meshd as root or give it CAP_NET_ADMIN";
        default:
            return message + std::strerror(error);
    }
}

/// libnl has no function for it. The limit for IPv4, which newer kernels have beside it, follows it (Linux 6.3).
net::Result<void> set_gso(nl_sock* socket, int index, const std::string& name, unsigned max_bytes) {
    const std::unique_ptr<nl_msg, Release<nl_msg, nlmsg_free>> message(nlmsg_alloc_simple(RTM_NEWLINK, 0));
    if (!message) return net::fail("out of memory");
    ifinfomsg link{};
    link.ifi_index = index;
    if (nlmsg_append(message.get(), &link, sizeof link, NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(message.get(), IFLA_GSO_MAX_SIZE, max_bytes) < 0) {
        return net::fail("out of memory");
    }
    int code = nl_send_auto(socket, message.get());
    if (code >= 0) code = nl_wait_for_ack(socket);
    if (code < 0) return tl::unexpected(netlink_error("set the largest superpacket of " + name, code));
    return {};
}

/// Sets MTU, queue length and up. The kernel is kept from giving the device an address of its own and from asking for
/// routers on it.
net::Result<void> set_up(int index, const std::string& name, const Device::Settings& settings) {
    auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    const Link change(rtnl_link_alloc());
    rtnl_link_set_ifindex(change.get(), index);
    rtnl_link_set_mtu(change.get(), settings.mtu_bytes);
    rtnl_link_set_txqlen(change.get(), settings.queue_packets);
    rtnl_link_inet6_set_addr_gen_mode(change.get(), rtnl_link_inet6_str2addrgenmode("none"));
    const Link which(rtnl_link_alloc());
    rtnl_link_set_ifindex(which.get(), index);
    int code = rtnl_link_change(socket->get(), which.get(), change.get(), 0);
    if (code < 0) {  // no IPv6 in this kernel: then it makes no addresses either
        const Link without(rtnl_link_alloc());
        rtnl_link_set_mtu(without.get(), settings.mtu_bytes);
        rtnl_link_set_txqlen(without.get(), settings.queue_packets);
        code = rtnl_link_change(socket->get(), which.get(), without.get(), 0);
    }
    if (code < 0) return tl::unexpected(netlink_error("set the MTU of " + name, code));
    if (auto set = set_gso(socket->get(), index, name, settings.gso_max_bytes); !set) return set;
    const Link up(rtnl_link_alloc());
    rtnl_link_set_flags(up.get(), IFF_UP);
    code = rtnl_link_change(socket->get(), which.get(), up.get(), 0);
    if (code < 0) return tl::unexpected(netlink_error("set " + name + " up", code));
    return {};
}

}  // namespace

net::Result<Device> Device::open(const Settings& settings) {
    if (settings.name.empty() || settings.name.size() >= IFNAMSIZ) {
        return net::fail("a device's name has 1 to 15 characters: \"" + settings.name + "\" does not");
    }
    if (settings.mtu_bytes < kSmallestMtuBytes || settings.mtu_bytes > kLargestMtuBytes) {
        return net::fail("the device's MTU must lie between 1280 and 65535: " + std::to_string(settings.mtu_bytes) +
                         " does not");
    }
    if (settings.queues < 1 || settings.queues > Settings::kMaxQueues) {
        return net::fail("a device has 1 to " + std::to_string(Settings::kMaxQueues) + " queues, not " +
                         std::to_string(settings.queues));
    }
    if (settings.gso_max_bytes < settings.mtu_bytes || settings.gso_max_bytes > kLargestGsoBytes) {
        return net::fail("the largest superpacket must lie between the MTU and 65536 bytes: " +
                         std::to_string(settings.gso_max_bytes) + " does not");
    }
    Device device;
    std::optional<Steering> steering;
    if (settings.queues > 1) {
        if (auto loaded = Steering::load(settings.queues)) {
            steering = std::move(*loaded);
        } else {
            device.steering_trouble_ = loaded.error().message;
        }
    }
    int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    // Not for one queue: the kernel then makes a packet scheduler for each of 256, 3.4 MB in all.
    if (steering) flags |= IFF_MULTI_QUEUE;
    // TUN_EXCL: a device that is there already, another program's or a persistent one, is not taken over.
    device.name_ = settings.name;
    if (auto added = device.add_queue(flags | IFF_TUN_EXCL); !added) return tl::unexpected(added.error());
    device.index_ = static_cast<int>(::if_nametoindex(device.name_.c_str()));
    if (steering) {
        net::Result<void> steered;
        while (steered && device.queues_.size() < settings.queues) steered = device.add_queue(flags);
        if (steered) steered = steering->attach(device.fd());
        if (!steered) {
            device.steering_trouble_ = steered.error().message;
            device.queues_.erase(device.queues_.begin() + 1, device.queues_.end());
        }
    }
    device.find_offloads();
    if (!settings.offloads) device.set_offloads({});
    if (auto arrivals = note_arrivals(device.fd(), device.queues_.size(), settings.queue_packets)) {
        for (std::size_t i = 0; i < arrivals->size(); ++i) device.queues_[i].note_arrivals(std::move((*arrivals)[i]));
    } else {
        device.arrivals_trouble_ = arrivals.error().message;
    }
    if (auto up = set_up(device.index_, device.name_, settings); !up) return tl::unexpected(up.error());
    return device;
}

/// The first queue makes the device, and has it named.
net::Result<void> Device::add_queue(int flags) {
    const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return net::fail(open_trouble(errno));
    Queue queue(fd);
    ifreq request{};
    request.ifr_flags = static_cast<short>(flags);
    std::memcpy(request.ifr_name, name_.c_str(), name_.size());
    if (::ioctl(fd, TUNSETIFF, &request) != 0) return net::fail(create_trouble(name_, errno));
    name_ = request.ifr_name;
    queues_.push_back(std::move(queue));
    return {};
}

/// All that the kernel gives and takes. The device must still be down.
void Device::find_offloads() {
    Offloads wanted{true, takes_superpackets(fd(), Gso::tcp4) && takes_superpackets(fd(), Gso::tcp6),
                    takes_superpackets(fd(), Gso::udp) && takes_superpackets(fd(), Gso::udp, true)};
    if (!set_offloads(wanted)) {
        wanted.udp = false;
        if (!set_offloads(wanted)) {
            wanted.tcp = false;
            set_offloads(wanted);
        }
    }
    available_ = offloads_;
}

bool Device::set_offloads(Offloads wanted) {
    unsigned long bits = 0;
    if (wanted.checksum) bits |= kTakesChecksum;
    if (wanted.tcp) bits |= kTakesTcp | kTakesTcpEcn;
    if (wanted.udp) bits |= kTakesUdp;
    if (::ioctl(fd(), TUNSETOFFLOAD, bits) != 0) return false;
    offloads_ = wanted;
    return true;
}

}  // namespace tun
