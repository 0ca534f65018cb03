/// How datagrams find their way: LANs in a tree whose root is the Internet, each other one behind a router that has a NAT
/// box or firewall for each family of addresses. Passive, and of no size: delay and loss are the world's.
///
///   Internet --- router --- LAN --- router --- LAN (double NAT)
///      |                     |                  |
///   stations              stations           stations
///
/// An inside address means something in its LAN only, so every LAN may be 192.168.1.0/24. What is behind a firewall that
/// does not translate is known outside by its own address.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "tests/sim/nat.hpp"

namespace sim {

using LanId = std::uint32_t;
using StationId = std::uint32_t;  ///< whatever has addresses; its owner's number

struct RouterSettings {
    std::string name;
    std::optional<NatSettings> v4, v6;  ///< none: nothing of this family passes
};

/// Where a station is, and what it is called there. Without addresses it is nowhere.
struct Place {
    LanId lan = 0;
    std::vector<net::IpAddress> addresses;
    bool operator==(const Place&) const = default;
};

class Network {
public:
    static constexpr LanId kInternet = 0;

    explicit Network(std::uint64_t seed);

    /// Throws if an outside address is taken.
    LanId add_lan(RouterSettings router, LanId outside = kInternet);
    /// Its stations do not reach each other there, as in a hotel.
    void isolate(LanId lan) { lans_.at(lan).isolates = true; }
    /// Takes the station from where it was. Throws if one of the addresses is taken.
    void put(StationId station, const Place& place);
    const Place& place(StationId station) const;
    /// The mappings of this LAN's router are gone.
    void reboot(LanId lan);
    /// The box that this LAN's router has, if any.
    NatBox* box(LanId lan, bool v6 = false);
    const std::string& name(LanId lan) const { return lans_.at(lan).name; }

    enum class Fate : std::uint8_t {
        under_way,
        arrived,
        no_address,  ///< the sender has none of this family
        no_route,    ///< nobody has that address
        isolated,
        // What a box said:
        blocked,
        no_mapping,
        filtered,
        no_hairpin,
        box_full,
        // What only the world knows:
        lost,
        too_big,
        cut,
        asleep,
        gone,  ///< nobody runs there
    };
    struct Transit {
        Transport transport = Transport::udp;
        net::Endpoint from, to;  ///< as they stand in the packet now
        net::IpAddress inside;   ///< of the station that sent it
        Fate fate = Fate::under_way;
        LanId at = kInternet;           ///< where it is, or whose router ended it
        LanId climbed = kInternet;      ///< whose router it went out by last; kInternet: none
        bool crosses_internet = false;  ///< and not only to the router that it came by
        StationId station = 0;  ///< if arrived
    };
    /// As far as routers outward go. `from_port`: the address is the station's that fits.
    Transit send(Transport transport, StationId from, std::uint16_t from_port, const net::Endpoint& to, net::Steady now);
    /// What is under way, from there to where it belongs.
    void arrive(Transit& transit, net::Steady now);

private:
    struct Hop {
        bool router = false;
        std::uint32_t id = 0;  ///< a station, or the LAN behind that router
    };
    struct Lan {
        std::string name;
        LanId outside = kInternet;
        bool isolates = false;
        std::optional<NatBox> v4, v6;
        std::map<net::IpAddress, Hop> table;
    };
    static std::optional<NatBox>& box_of(Lan& lan, const net::IpAddress& address) { return address.is_v4() ? lan.v4 : lan.v6; }
    void announce(LanId lan, const net::IpAddress& address, Hop hop);
    void withdraw(LanId lan, const net::IpAddress& address);
    std::optional<LanId> known_outside(LanId lan, const net::IpAddress& address);

    net::SeededRandom random_;
    std::deque<Lan> lans_;
    std::vector<Place> places_;  ///< by station
};

std::string_view text(Network::Fate fate);

}  // namespace sim
