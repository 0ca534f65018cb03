#include "meshctl/nat_text.hpp"

namespace meshctl {

std::string nat_text(const std::string& verdict) {
    if (verdict == "none") return "no NAT";
    if (verdict == "endpoint-independent") return "a NAT that keeps one port for all (endpoint-independent)";
    if (verdict == "endpoint-dependent") return "a NAT that gives every peer another port (endpoint-dependent, \"symmetric\")";
    return "NAT unknown: too few members see it from outside";
}

std::string side_text(const Value& side) {
    auto out = side["name"].text() + ", " + nat_text(side["nat"].text());
    if (const auto at = side["seen_at"].text(); !at.empty()) out += "; seen at " + at;
    if (side["udp"].text() == "blocked") out += "; UDP is blocked";
    if (side["ipv6"].flag()) out += "; has IPv6";
    return out;
}

}  // namespace meshctl
