/// Bursts of packets for a coalescer.
#pragma once

#include <catch2/catch.hpp>

#include "packets.hpp"

namespace test {

/// Packets of one burst, kept as long as the coalescer borrows them.
struct Burst {
    explicit Burst(const tun::Coalescer::Settings& settings = {}) : coalescer(settings) {}

    void add(net::Bytes bytes, bool checksum_left = false) {
        kept.push_back(std::make_unique<net::Bytes>(std::move(bytes)));
        coalescer.add(*kept.back(), checksum_left, sink);
    }
    std::vector<Memory::Written> end() {
        coalescer.flush(sink);
        kept.clear();
        return std::exchange(sink.written, {});
    }

    tun::Coalescer coalescer;
    Memory sink;
    std::vector<std::unique_ptr<net::Bytes>> kept;
};

inline Packet tcp(std::size_t payload_bytes, std::uint8_t fill = 1) {
    Packet out;
    out.id = 0xffff;
    out.sequence = 0xffffff00;
    out.tcp_options = net::Bytes(12, std::byte{1});
    out.payload = net::Bytes(payload_bytes, std::byte{fill});
    return out;
}

inline Packet udp(std::size_t payload_bytes, std::uint8_t fill = 1) {
    auto out = tcp(payload_bytes, fill);
    out.protocol = kUdp;
    return out;
}

/// The packet that may follow.
inline Packet after(const Packet& packet, std::size_t payload_bytes) {
    auto out = packet;
    out.id = static_cast<std::uint16_t>(packet.id + 1);
    out.sequence += static_cast<std::uint32_t>(packet.payload.size());
    out.payload = net::Bytes(payload_bytes, std::byte{2});
    return out;
}

inline bool joins(const Packet& first, const Packet& second) {
    Burst burst;
    burst.add(first.bytes());
    burst.add(second.bytes());
    const auto written = burst.end();
    if (written.size() == 1) return true;
    // What does not join is passed on as it came, in the order in which it came.
    REQUIRE(written.size() == 2);
    CHECK(written[0].offload == tun::Offload{});
    CHECK(written[0].bytes == first.bytes());
    CHECK(written[1].offload == tun::Offload{});
    CHECK(written[1].bytes == second.bytes());
    return false;
}

}  // namespace test
