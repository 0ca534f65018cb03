/// UDP sockets beside the mesh's own port, each at a port of its own: what birthday probing opens many mappings with
/// (mesh/node_birthday.cpp), and the one of them that became a way. Control thread only.
#pragma once

#include <map>

#include "loop/udp.hpp"
#include "mesh/node.hpp"

namespace meshd {

class FurtherSockets {
public:
    static constexpr std::size_t kMost = 512;

    /// `receive` is told what came, and where from as a virtual endpoint; the bytes are borrowed until it returns, and it
    /// may close any socket. `loop` is borrowed for life.
    FurtherSockets(loop::Loop& loop, std::function<void(net::MutableBytes, const net::Endpoint& from)> receive);

    struct Opened {
        std::uint32_t first = 0;
        std::size_t count = 0;  ///< as many as could be, numbered from `first` on
    };
    Opened open(std::size_t count);
    void close(std::span<const std::uint32_t> sockets);
    /// To a socket's endpoint; nothing if that socket is closed. False: larger than this machine's link takes, and it must
    /// not be fragmented.
    bool send(const mesh::Datagram& datagram) const;
    std::size_t size() const { return sockets_.size(); }

private:
    loop::Loop& loop_;
    const std::function<void(net::MutableBytes, const net::Endpoint&)> receive_;
    std::map<std::uint32_t, std::unique_ptr<loop::UdpSocket>> sockets_;
    std::uint32_t next_ = 1;
};

}  // namespace meshd
