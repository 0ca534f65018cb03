#include <catch2/catch.hpp>
#include <poll.h>

#include "loop/datagram_burst.hpp"
#include "mesh/protocol.hpp"
#include "meshd/socket_steering.hpp"

using namespace std::chrono_literals;

namespace {

/// Sockets that share a port, and one that sends to them.
class Group {
public:
    Group(bool v6, std::size_t bulk) {
        const auto any = *net::Endpoint::parse(v6 ? "[::1]:0" : "127.0.0.1:0");
        auto sender = loop::Datagram::open(any);
        auto first = loop::Datagram::open(any, {.reuse_port = true});
        if (!sender || !first) return;
        sender_ = std::move(*sender);
        sockets_.push_back(std::move(*first));
        while (sockets_.size() <= bulk) sockets_.push_back(*loop::Datagram::open(sockets_[0].local(), {.reuse_port = true}));
        usable = meshd::steer_datagrams(sockets_[0], bulk);
    }
    std::size_t where(const net::Bytes& bytes, std::uint8_t traffic_class = 0) {
        std::copy(bytes.begin(), bytes.end(), burst_.room(bytes.size()).begin());
        burst_.add(sockets_[0].local(), traffic_class, bytes.size());
        REQUIRE(burst_.send(&sender_, &sender_, 1s) == 0);
        std::vector<pollfd> fds;
        for (const auto& socket : sockets_) fds.push_back({socket.fd(), POLLIN, 0});
        REQUIRE(::poll(fds.data(), fds.size(), 20000) == 1);
        std::size_t at = 0;
        while (fds[at].revents == 0) ++at;
        net::Bytes buffer(2000);
        REQUIRE(sockets_[at].receive(buffer));
        return at;
    }
    bool usable = false;  ///< false: this kernel lacks the family or the filter

private:
    loop::Datagram sender_;
    std::vector<loop::Datagram> sockets_;
    loop::SendBurst burst_;
};

net::Bytes message(unsigned type, std::uint8_t flags, std::uint32_t receiver) {
    return net::Writer().u8(static_cast<std::uint8_t>(type)).u8(flags).u16be(0).u32le(receiver).u64le(7).zeros(200).take();
}

constexpr std::uint8_t class_of(unsigned dscp, unsigned ecn) { return static_cast<std::uint8_t>(dscp << 2 | ecn); }

}  // namespace

TEST_CASE("datagrams of voice reach the last socket of a port, whatever they are") {
    const std::size_t bulk = GENERATE(1U, 2U, 4U);
    const bool v6 = GENERATE(false, true);
    Group group(v6, bulk);
    if (!group.usable) return;
    for (const auto voice : {class_of(46, 0), class_of(46, 2), class_of(44, 0), class_of(24, 1)}) {
        for (const unsigned type : {1U, 4U, 5U}) CHECK(group.where(message(type, 0, 3), voice) == bulk);
    }
    for (const auto other : {class_of(0, 0), class_of(45, 0), class_of(10, 3), class_of(48, 0)}) {
        CHECK(group.where(message(4, 0, 0), other) == 0);
    }
}

TEST_CASE("data is spread by receiver and by its sender's queue, all else reaches the first socket") {
    const std::size_t bulk = GENERATE(1U, 2U, 3U, 4U);
    const bool v6 = GENERATE(false, true);
    Group group(v6, bulk);
    if (!group.usable) return;
    for (const std::uint32_t receiver : {0U, 1U, 2U, 0x01020305U, 0xffffffffU}) {
        CHECK(group.where(message(4, 0, receiver)) == (receiver & 0xff) % bulk);
        for (std::uint8_t queue = 0; queue < mesh::kMaxQueues; ++queue) {
            for (const std::uint8_t left : {std::uint8_t{0}, mesh::kChecksumLeft}) {
                const auto flags = static_cast<std::uint8_t>(queue << mesh::kQueueShift | left);
                CHECK(group.where(message(5, flags, receiver)) == ((receiver & 0xff) + queue) % bulk);
            }
        }
        for (const unsigned type : {1U, 2U, 3U, 7U, 0U, 255U}) CHECK(group.where(message(type, 6, receiver)) == 0);
    }
    for (const std::size_t bytes : {1U, 2U, 4U}) {
        auto cut = message(5, 2, 1);
        cut.resize(bytes);
        CHECK(group.where(cut) == 0);
    }
}
