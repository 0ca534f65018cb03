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

namespace tun {
namespace {

constexpr unsigned kSmallestMtuBytes = 1280;  // RFC 8200 section 5
constexpr unsigned kLargestMtuBytes = 65535;

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
        case EBUSY: return message + "the name is taken; stop the other program or set another \"device\"";
        case EINVAL: return message + "an interface of another kind has this name; set another \"device\"";
        case EPERM: return message + "not permitted; run meshd as root or give it CAP_NET_ADMIN";
        default: return message + std::strerror(error);
    }
}

/// Sets MTU and up. The kernel is kept from giving the device an address of its own and from asking for routers on it.
net::Result<void> set_up(int index, const std::string& name, unsigned mtu_bytes) {
    auto socket = open_netlink();
    if (!socket) return tl::unexpected(socket.error());
    const Link change(rtnl_link_alloc());
    rtnl_link_set_ifindex(change.get(), index);
    rtnl_link_set_mtu(change.get(), mtu_bytes);
    rtnl_link_inet6_set_addr_gen_mode(change.get(), rtnl_link_inet6_str2addrgenmode("none"));
    const Link which(rtnl_link_alloc());
    rtnl_link_set_ifindex(which.get(), index);
    int code = rtnl_link_change(socket->get(), which.get(), change.get(), 0);
    if (code < 0) {  // no IPv6 in this kernel: then it makes no addresses either
        const Link without(rtnl_link_alloc());
        rtnl_link_set_mtu(without.get(), mtu_bytes);
        code = rtnl_link_change(socket->get(), which.get(), without.get(), 0);
    }
    if (code < 0) return tl::unexpected(netlink_error("set the MTU of " + name, code));
    const Link up(rtnl_link_alloc());
    rtnl_link_set_flags(up.get(), IFF_UP);
    code = rtnl_link_change(socket->get(), which.get(), up.get(), 0);
    if (code < 0) return tl::unexpected(netlink_error("set " + name + " up", code));
    return {};
}

}  // namespace

Device::Device(Device&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), index_(other.index_), name_(std::move(other.name_)) {}

Device& Device::operator=(Device&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(index_, other.index_);
    std::swap(name_, other.name_);
    return *this;
}

Device::~Device() {
    if (fd_ >= 0) ::close(fd_);
}

net::Result<Device> Device::open(const Settings& settings) {
    ifreq request{};
    if (settings.name.empty() || settings.name.size() >= sizeof request.ifr_name) {
        return net::fail("a device's name has 1 to 15 characters: \"" + settings.name + "\" does not");
    }
    if (settings.mtu_bytes < kSmallestMtuBytes || settings.mtu_bytes > kLargestMtuBytes) {
        return net::fail("the device's MTU must lie between 1280 and 65535: " + std::to_string(settings.mtu_bytes) +
                         " does not");
    }
    Device device;
    device.fd_ = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device.fd_ < 0) return net::fail(open_trouble(errno));
    // TUN_EXCL: a device that is there already, another program's or a persistent one, is not taken over.
    request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL);
    std::memcpy(request.ifr_name, settings.name.c_str(), settings.name.size());
    if (::ioctl(device.fd_, TUNSETIFF, &request) != 0) return net::fail(create_trouble(settings.name, errno));
    device.name_ = request.ifr_name;
    device.index_ = static_cast<int>(::if_nametoindex(request.ifr_name));
    if (auto up = set_up(device.index_, device.name_, settings.mtu_bytes); !up) return tl::unexpected(up.error());
    return device;
}

std::optional<std::size_t> Device::read(net::MutableBytes buffer) const {
    for (;;) {
        const auto size = ::read(fd_, buffer.data(), buffer.size());
        if (size >= 0) return static_cast<std::size_t>(size);
        if (errno != EINTR) return std::nullopt;
    }
}

bool Device::write(net::ByteView packet) const {
    for (;;) {
        if (::write(fd_, packet.data(), packet.size()) >= 0) return true;
        if (errno != EINTR) return false;
    }
}

}  // namespace tun
