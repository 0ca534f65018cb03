#include "meshd/path_advice.hpp"

namespace meshd {
namespace {

using mesh::NatMapping;
using Side = PathFacts::Side;

std::string at_port(const Side& side) {
    return (side.outside ? side.outside->text() : std::string("ADDRESS")) + ":" + std::to_string(side.port);
}

std::string advertise(const Side& side) {
    return "put \"advertise\": [\"" + at_port(side) + "\"] into its meshd.json";
}

std::string forward(const Side& side) {
    return "forward UDP port " + std::to_string(side.port) + " of " + side.name + "'s router to it and " + advertise(side);
}

std::string let_in(const Side& side, const char* how = "") {
    return "let UDP port " + std::to_string(side.port) + " in" + how + " at the firewall of " + side.name;
}

std::string let_out(const Side& side, const Side& other) {
    return "let UDP out, to port " + std::to_string(other.port) + " at least, at the firewall of " + side.name;
}

std::string capital(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

/// What helps whatever the NATs do. Either side will do: this one is in reach of who reads it.
std::string open_a_port(const PathFacts& facts) {
    const auto& here = facts.here;
    const auto& there = facts.there;
    const auto out = capital(forward(here)) + " (or the same for " + there.name +
               "); a router that maps ports by PCP, NAT-PMP or UPnP does it by itself";
    if (!here.v6 && !there.v6) return out + ". IPv6 on both would do, too.";
    return out + ". IPv6 for " + (here.v6 ? there : here).name + " would do, too.";
}

std::string sentence(std::string text) { return capital(std::move(text)) + '.'; }

/// With a session, by a detour.
Obstacle of_detour(const PathFacts& facts) {
    const auto& here = facts.here;
    const auto& there = facts.there;
    const auto either = [&](NatMapping nat) { return here.nat == nat || there.nat == nat; };
    if (facts.about_to_move) return Obstacle::being_tried;
    if (here.udp == Udp::blocked) return Obstacle::udp_blocked_here;
    if (there.udp == Udp::blocked) return Obstacle::udp_blocked_there;
    if (facts.candidates == 0) return Obstacle::no_endpoint;
    if ((!here.v4 && !there.v6) || (!there.v4 && !here.v6)) return Obstacle::no_common_family;
    if (!facts.tried) return Obstacle::being_tried;
    if (facts.rank == mesh::Rank::stream) return Obstacle::udp_blocked;
    if (here.outside && here.outside == there.outside) return Obstacle::same_router;
    if (here.v6 && there.v6) return Obstacle::firewall_v6;
    if (there.nat == NatMapping::none) return Obstacle::firewall_there;
    if (here.nat == NatMapping::none) return Obstacle::firewall_here;
    // Where UDP goes out here, somebody would have told at which public address it comes from there.
    if (!facts.any_public) return here.udp == Udp::works ? Obstacle::udp_blocked_there : Obstacle::private_only;
    if (here.nat == NatMapping::endpoint_dependent && there.nat == NatMapping::endpoint_dependent) return Obstacle::both_dependent;
    if (here.nat == NatMapping::endpoint_dependent) return Obstacle::dependent_here;
    if (there.nat == NatMapping::endpoint_dependent) return Obstacle::dependent_there;
    return either(NatMapping::unknown) ? Obstacle::unknown_nat : Obstacle::filtered;
}

constexpr unsigned kFirstAttempts = 3;  // 1, 2 and 4 s apart

}  // namespace

Obstacle obstacle(const PathFacts& facts) {
    switch (facts.state) {
        case mesh::PeerState::idle: return Obstacle::not_wanted;
        case mesh::PeerState::connecting:
            if (facts.others == 0) return facts.attempts < kFirstAttempts ? Obstacle::looked_for : Obstacle::nobody_reached;
            return facts.attempts < kFirstAttempts ? Obstacle::looked_for : Obstacle::silent;
        case mesh::PeerState::session: break;
    }
    return facts.rank && is_direct(*facts.rank) ? Obstacle::none : of_detour(facts);
}

PathVerdict judge_path(const PathFacts& facts) {
    const auto& here = facts.here;
    const auto& there = facts.there;
    const auto dependent = [](const Side& side, const Side& other) {
        return "the NAT of " + side.name + " gives every peer another port, and that of " + other.name +
               (other.nat == NatMapping::unknown ? " is not known" : " lets in only whom it has sent to; guesses at its port have found none so far");
    };
    switch (obstacle(facts)) {
        case Obstacle::none: return {"", "Nothing: it is reached directly."};
        case Obstacle::not_wanted: return {"no data goes to it", "Nothing: a tunnel comes up as soon as data goes to it."};
        case Obstacle::looked_for: return {"it is being looked for", "Nothing yet: ask again in some seconds."};
        case Obstacle::nobody_reached:
            return {facts.candidates == 0 ? "nobody is reached, and nothing tells where it is" : "nobody is reached from here",
                    std::string("See what this network allows: meshctl netcheck.") +
                        (facts.candidates == 0 ? " An address under \"bootstrap\" in meshd.json tells where to begin." : "")};
        case Obstacle::silent:
            return {"no member hears it: it is off, or cut off",
                    "Start meshd on " + there.name + ", or connect it to a network: it is found by itself then."};
        case Obstacle::being_tried: return {"direct ways are being tried", "Nothing yet: ask again in some seconds."};
        case Obstacle::udp_blocked_here: return {"UDP does not leave the network of " + here.name, sentence(let_out(here, there))};
        case Obstacle::udp_blocked_there: return {"UDP does not leave the network of " + there.name, sentence(let_out(there, here))};
        case Obstacle::udp_blocked:
            return {"UDP does not pass between the two", sentence(let_out(here, there) + ", or at that of " + there.name)};
        case Obstacle::no_endpoint:
            return {there.name + " tells of no address where it may be reached",
                    sentence(forward(there))};
        case Obstacle::no_common_family: {
            const auto& with_v4 = here.v4 ? here : there;
            const auto& with_v6 = here.v4 ? there : here;
            return {with_v4.name + " has no public IPv6, and " + with_v6.name + " no IPv4", "IPv6 for " + with_v4.name + " would do."};
        }
        case Obstacle::same_router:
            return {"both are behind the router " + here.outside->text() + ", which keeps them apart",
                    "Let UDP port " + std::to_string(there.port) +
                        " pass between their networks there: a guest network, or the isolation of a Wi-Fi, is in the way."};
        case Obstacle::private_only:
            return {"what is known of it are private addresses, and from here they do not answer",
                    "Let UDP port " + std::to_string(there.port) + " pass from " + here.name + " to " + there.name +
                        ": a route or a firewall is in the way."};
        case Obstacle::firewall_v6:
            return {"both have IPv6, but what is sent does not arrive", sentence(let_in(here, " over IPv6") + ", or at that of " + there.name)};
        case Obstacle::firewall_here: return {here.name + " has no NAT, but a firewall lets nothing in", sentence(let_in(here))};
        case Obstacle::firewall_there: return {there.name + " has no NAT, but a firewall lets nothing in", sentence(let_in(there))};
        case Obstacle::both_dependent: return {"both NATs give every peer another port", open_a_port(facts)};
        case Obstacle::dependent_here: return {dependent(here, there), open_a_port(facts)};
        case Obstacle::dependent_there: return {dependent(there, here), open_a_port(facts)};
        case Obstacle::filtered: return {"the NATs would allow it, but what is sent does not arrive", open_a_port(facts)};
        case Obstacle::unknown_nat:
            return {"what is sent does not arrive, and too few members see the two from outside to say why", open_a_port(facts)};
    }
    return {};
}

std::vector<std::string> network_advice(const NetworkFacts& facts) {
    constexpr std::size_t kMost = 3;
    std::vector<std::string> out;
    Side side;
    side.name = facts.name;
    side.port = facts.port;
    side.outside = facts.outside;
    if (facts.members != 0 && facts.reached == 0) {
        out.push_back("If the others are not all off, UDP does not get out of this network: " + let_out(side, side) + ".");
        if (!facts.listens_for_streams)
            out.push_back("No member listens for TLS, which goes where UDP does not: put \"streams\": {\"listen\": "
                          "[\"0.0.0.0:443\"]} into the meshd.json of one that others can reach.");
    } else if (facts.udp == Udp::blocked) {
        out.push_back("UDP does not leave this network, and TLS is slower: " + let_out(side, side) + ".");
    }
    if (facts.nat == NatMapping::endpoint_dependent && !facts.mapped) {
        out.push_back("The NAT gives every peer another port, so members behind one like it are reached through others: " +
                      forward(side) + ", or let the router map ports by PCP, NAT-PMP or UPnP.");
    }
    if (!facts.detours.empty() && facts.reached != 0) {
        out.push_back("meshctl why " + facts.detours.front() + " tells why that one" +
                      (facts.detours.size() > 1 ? ", like " + std::to_string(facts.detours.size() - 1) + " more," : std::string()) +
                      " is not reached directly.");
        const bool nat = facts.nat == NatMapping::endpoint_dependent || facts.nat == NatMapping::endpoint_independent;
        if (!facts.v6 && nat && facts.udp != Udp::blocked) out.push_back("There is no IPv6 here; with it on both sides no NAT is in the way.");
    }
    if (out.size() > kMost) out.resize(kMost);
    return out;
}

}  // namespace meshd
