#include "meshd/further_sockets.hpp"

namespace meshd {
namespace {

constexpr std::size_t kLargestBytes = 9216;  // no path takes more whole

}  // namespace

FurtherSockets::FurtherSockets(loop::Loop& loop, std::function<void(net::MutableBytes, const net::Endpoint&)> receive)
    : loop_(loop), receive_(std::move(receive)) {}

FurtherSockets::Opened FurtherSockets::open(std::size_t count) {
    Opened out{.first = next_};
    while (out.count < count && sockets_.size() < kMost) {
        auto socket = loop::Datagram::open({net::IpAddress::v4(0, 0, 0, 0), 0, 0});
        if (!socket) break;  // as many as there are descriptors for
        const auto number = next_++;
        const auto received = [this, number](const loop::Received& datagram) {
            receive_(datagram.bytes, mesh::socket_endpoint(number, datagram.from));
        };
        sockets_[number] = std::make_unique<loop::UdpSocket>(loop_, std::move(*socket), loop::UdpSocket::Events{received, {}}, kLargestBytes);
        ++out.count;
    }
    return out;
}

void FurtherSockets::close(std::span<const std::uint32_t> sockets) {
    for (const auto socket : sockets) sockets_.erase(socket);
}

bool FurtherSockets::send(const mesh::Datagram& datagram) const {
    const auto way = mesh::VirtualEndpoint::of(datagram.to);
    if (!way || way->kind != mesh::VirtualEndpoint::Kind::socket) return true;
    const auto found = sockets_.find(way->relay);
    if (found == sockets_.end()) return true;
    const auto to = way->remote();
    if (datagram.never_fragment) return found->second->socket().send_whole(to, datagram.bytes) != loop::SendResult::too_big;
    (void)found->second->send(to, datagram.bytes);  // what is lost is lost, as UDP may
    return true;
}

}  // namespace meshd
