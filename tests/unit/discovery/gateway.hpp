/// A naive gateway for tests: PCP and NAT-PMP servers written from the RFCs' words, apart from the code under test, and a
/// line to it that loses and delays.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "discovery/pcp_client.hpp"

class Gateway {
public:
    static constexpr const char* kAddress = "192.168.1.1";
    bool speaks_pcp = true, speaks_nat_pmp = true;
    std::uint8_t refuses_with = 0;           ///< a result code for every request
    std::uint32_t refusal_s = 60;
    std::uint32_t longest_s = 3600;
    std::uint32_t adds_s = 0;                ///< to every lifetime that it tells
    net::IpAddress external = *net::IpAddress::parse("5.6.7.8");
    net::Steady up_since{};

    struct Held {
        net::Bytes nonce;
        std::uint16_t external_port = 0;
        net::Steady until{};
    };
    std::map<std::uint16_t, Held> held;  ///< by internal port
    unsigned requests = 0;

    /// It forgets all.
    void restart(net::Steady now) {
        held.clear();
        up_since = now;
    }
    std::uint32_t epoch(net::Steady now) const {
        return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now - up_since).count());
    }
    net::Bytes announcement(net::Steady now) const {
        return net::Writer().u8(2).u8(128).u16be(0).u32be(0).u32be(epoch(now)).zeros(12).take();
    }
    net::Bytes address_announcement(net::Steady now) const {
        return net::Writer().u8(0).u8(128).u16be(0).u32be(epoch(now)).bytes(external.bytes()).take();
    }
    bool maps(std::uint16_t port, net::Steady now) const {
        const auto found = held.find(port);
        return found != held.end() && found->second.until > now;
    }

    /// What it answers; empty: nothing.
    net::Bytes answer(const net::Bytes& request, net::Steady now) {
        ++requests;
        for (auto one = held.begin(); one != held.end();) one = one->second.until <= now ? held.erase(one) : std::next(one);
        net::Reader in(request);
        const auto version = in.u8(), opcode = in.u8();
        if (version == 0) return speaks_nat_pmp ? nat_pmp(opcode, in, now) : net::Bytes();
        if (speaks_pcp) return pcp(in, now);
        return speaks_nat_pmp ? net::Writer().u8(0).u8(0).u16be(1).u32be(epoch(now)).take() : net::Bytes();
    }

private:
    net::Bytes pcp(net::Reader& in, net::Steady now) {
        in.u16be();
        const auto wanted_s = in.u32be();
        in.bytes(16);
        const auto nonce = net::copy(in.bytes(12));
        in.u32be();
        const auto port = in.u16be(), suggested = in.u16be();
        const auto found = held.find(port);
        const bool foreign = found != held.end() && found->second.nonce != nonce;
        const std::uint8_t result = refuses_with != 0 ? refuses_with : foreign ? 2 : 0;
        const auto lifetime_s = result != 0 ? refusal_s : std::min(wanted_s, longest_s);
        const auto external_port = result != 0 ? suggested : give(port, nonce, suggested, lifetime_s, now);
        return net::Writer().u8(2).u8(0x81).u8(0).u8(result).u32be(lifetime_s + adds_s).u32be(epoch(now)).zeros(12)
            .bytes(nonce).u8(17).zeros(3).u16be(port).u16be(external_port).zeros(10).u16be(0xffff).bytes(external.bytes()).take();
    }
    net::Bytes nat_pmp(unsigned opcode, net::Reader& in, net::Steady now) {
        if (opcode == 0) return net::Writer().u8(0).u8(128).u16be(refuses_with).u32be(epoch(now)).bytes(external.bytes()).take();
        in.u16be();
        const auto port = in.u16be(), suggested = in.u16be();
        const auto lifetime_s = std::min(in.u32be(), longest_s);
        const auto external_port = refuses_with != 0 ? std::uint16_t{0} : give(port, {}, suggested, lifetime_s, now);
        return net::Writer().u8(0).u8(129).u16be(refuses_with).u32be(epoch(now)).u16be(port)
            .u16be(external_port).u32be(lifetime_s + adds_s).take();
    }
    std::uint16_t give(std::uint16_t port, const net::Bytes& nonce, std::uint16_t suggested, std::uint32_t lifetime_s, net::Steady now) {
        if (lifetime_s == 0) {
            held.erase(port);
            return 0;
        }
        auto& one = held[port];
        if (one.external_port == 0) one.external_port = suggested != 0 ? suggested : 40000;
        one.nonce = nonce;
        one.until = now + std::chrono::seconds(lifetime_s);
        return one.external_port;
    }
};

/// A client and its gateway under a virtual clock.
class Line {
public:
    explicit Line(std::uint64_t seed = 1) : random_(seed) {}

    Gateway gateway;
    unsigned loss_percent = 0;
    net::Duration longest_delay{};
    net::Steady now{std::chrono::hours(1)};

    net::Now at() const { return {now, net::Wall(now.time_since_epoch())}; }
    net::Random& random() { return random_; }
    discovery::PcpClient::Settings settings() const {
        discovery::PcpClient::Settings out;
        out.gateway = {*net::IpAddress::parse(Gateway::kAddress), 0, 0};
        out.local = *net::IpAddress::parse("192.168.1.7");
        out.port = 51820;
        out.nonce.fill(std::byte{7});
        return out;
    }
    void tell(net::Bytes bytes, net::Duration delay = {}) { wire_.push_back({now + delay, std::move(bytes), false}); }
    /// To the port of announcements: whoever says so.
    void announce(net::Bytes bytes) { wire_.push_back({now, std::move(bytes), true}); }

    /// Lets time pass for so long, with whatever is due in between.
    void run(discovery::PcpClient& client, net::Duration how_long) {
        const auto end = now + how_long;
        for (;;) {
            for (const auto& datagram : client.take_datagrams()) {
                sent.push_back(now);
                if (random_.below(100) < loss_percent) continue;
                auto answer = gateway.answer(datagram.bytes, now);
                if (answer.empty() || random_.below(100) < loss_percent) continue;
                const auto delay = random_.below(static_cast<std::uint64_t>(longest_delay.count()) + 1);
                tell(std::move(answer), net::Duration(static_cast<std::int64_t>(delay)));
            }
            auto next = client.next_deadline();
            for (const auto& one : wire_) next = std::min(next, one.at);
            if (next > end) break;
            now = std::max(now, next);
            for (std::size_t i = 0; i < wire_.size();) {
                if (wire_[i].at > now) {
                    ++i;
                    continue;
                }
                const auto bytes = std::move(wire_[i].bytes);
                const bool announced = wire_[i].announced;
                wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(i));
                const net::Endpoint from{*net::IpAddress::parse(Gateway::kAddress), 5351, 0};
                if (announced) client.announced(bytes, from, at());
                else client.receive(bytes, from, at());
            }
            client.tick(at());
        }
        now = end;
    }
    std::vector<net::Steady> sent;  ///< when something left

private:
    struct Flying {
        net::Steady at;
        net::Bytes bytes;
        bool announced = false;
    };
    net::SeededRandom random_;
    std::vector<Flying> wire_;
};
