// The reader notes which line belongs to which section; the rewriter walks the same lines and changes what it must. No
// library's parser judges here: sofia-sip's asks for 2 GB of memory where a t= line stands below an m= line.
#include "voice/sdp.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "net/text.hpp"

namespace voice {
namespace {

constexpr std::size_t kMaxMediaLines = 32;

/// Splits the next line off, without its end; `end` is that end as written ("\r\n", "\n" or nothing).
std::string_view take_line(std::string_view& text, std::string_view& end) {
    const auto feed = text.find('\n');
    if (feed == text.npos) {
        end = {};
        return std::exchange(text, {});
    }
    const auto length = feed > 0 && text[feed - 1] == '\r' ? feed - 1 : feed;
    const auto line = text.substr(0, length);
    end = text.substr(length, feed + 1 - length);
    text.remove_prefix(feed + 1);
    return line;
}

std::string_view take_word(std::string_view& text) {
    const auto space = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    return word;
}

bool is_attribute(std::string_view line, std::string_view name) {
    if (!line.starts_with("a=")) return false;
    line.remove_prefix(2);
    return line.starts_with(name) && (line.size() == name.size() || line[name.size()] == ':');
}

std::string_view attribute_value(std::string_view line) {
    const auto colon = line.find(':');
    return colon == line.npos ? std::string_view{} : line.substr(colon + 1);
}

bool is_ice(std::string_view line) {
    // "ice2" and "ice-..." (RFC 8839); x-candidate and x-candidate-ipv6 of those who began before it.
    return line.starts_with("a=ice-") || line.starts_with("a=x-candidate") || is_attribute(line, "ice2") ||
           is_attribute(line, "candidate") || is_attribute(line, "remote-candidates") || is_attribute(line, "end-of-candidates");
}

/// What would lead past an anchor.
bool leads_past(std::string_view line) {
    return is_ice(line) || is_attribute(line, "altc") || is_attribute(line, "bundle-only") || line == "a=group:BUNDLE" ||
           line.starts_with("a=group:BUNDLE ");
}

/// "IN IP4 192.0.2.1" with TTL and count behind a slash; none if it is a name.
std::optional<net::IpAddress> connection_address(std::string_view text) {
    if (take_word(text) != "IN") return std::nullopt;
    const auto type = take_word(text);
    if (type != "IP4" && type != "IP6") return std::nullopt;
    const auto word = take_word(text);
    const auto address = net::IpAddress::parse(word.substr(0, word.find('/')));
    if (!address) return word.empty() ? std::nullopt : std::optional(net::IpAddress{});
    if (address->is_v4() != (type == "IP4")) return std::nullopt;
    return address;
}

std::string connection_text(const net::IpAddress& address) {
    return std::string(address.is_v6() ? "IN IP6 " : "IN IP4 ") + address.text();
}

std::optional<MeshMedia> mesh_media(std::string_view value) {
    MeshMedia media;
    media.node = take_word(value);
    const auto address = net::IpAddress::parse(take_word(value));
    const auto port = net::parse_decimal(value, 65534);
    if (media.node.empty() || media.node.size() > 128 || !address || !port || *port == 0) return std::nullopt;
    media.anchor = {*address, static_cast<std::uint16_t>(*port)};
    return media;
}

struct MediaHead {
    std::string_view kind, port_word, protocol, formats;
    std::uint16_t port = 0;
};

/// m=<media> <port>[/<count>] <proto> <fmt> ...
std::optional<MediaHead> media_head(std::string_view line) {
    MediaHead head;
    line.remove_prefix(2);
    head.kind = take_word(line);
    head.port_word = take_word(line);
    head.protocol = take_word(line);
    head.formats = line;
    const auto port = net::parse_decimal(head.port_word.substr(0, head.port_word.find('/')), 65535);
    if (head.kind.empty() || !port || head.protocol.empty() || head.formats.empty()) return std::nullopt;
    head.port = static_cast<std::uint16_t>(*port);
    return head;
}

std::optional<Direction> direction_of(std::string_view line) {
    if (line == "a=sendrecv") return Direction::sendrecv;
    if (line == "a=sendonly") return Direction::sendonly;
    if (line == "a=recvonly") return Direction::recvonly;
    if (line == "a=inactive") return Direction::inactive;
    return std::nullopt;
}

}  // namespace

bool MediaLine::is_rtp() const {
    return protocol.find("RTP/") != std::string::npos && protocol.find("TCP") == std::string::npos;
}

bool MediaLine::is_secure() const { return is_rtp() && protocol.find("/SAVP") != std::string::npos; }

bool MediaLine::is_fax() const {
    const auto name = net::to_lower(protocol);  // T.38 D.2.3 writes it small, some phones do not
    return name == "udptl" || name == "udp/tls/udptl";
}

std::optional<SessionDescription> SessionDescription::parse(std::string_view text) {
    if (text.size() > 65535 || text.find('\0') != text.npos) return std::nullopt;
    SessionDescription out;
    std::optional<net::IpAddress> session_address;
    bool has_session_address = false;
    auto session_direction = Direction::sendrecv;
    std::vector<std::optional<std::uint16_t>> rtcp_ports;
    std::vector<std::optional<net::IpAddress>> rtcp_addresses;
    std::vector<bool> has_address;
    std::size_t number = 0;
    auto rest = text;
    while (!rest.empty()) {
        std::string_view end;
        const auto line = take_line(rest, end);
        if (line.empty()) {
            // Some phones end with an empty line; in the middle there is none.
            if (rest.find_first_not_of("\r\n") != rest.npos) return std::nullopt;
            break;
        }
        if (line.size() < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z' || line.find('\r') != line.npos) return std::nullopt;
        static constexpr std::string_view kFirst = "vos";
        if (number < kFirst.size() && line[0] != kFirst[number]) return std::nullopt;
        if (number >= kFirst.size() && kFirst.find(line[0]) != kFirst.npos) return std::nullopt;
        if (number == 0 && line != "v=0") return std::nullopt;
        // RFC 8866 5: a letter that nobody knows, or where it does not belong, spoils the whole.
        const std::string_view allowed = out.media.empty() ? "vosiuepcbtrzkam" : "icbkam";
        if (allowed.find(line[0]) == allowed.npos) return std::nullopt;
        ++number;

        const auto value = line.substr(2);
        auto* media = out.media.empty() ? nullptr : &out.media.back();
        if (line[0] == 'o') {
            auto words = value;
            for (int i = 0; i < 5; ++i) take_word(words);
            out.origin_address = take_word(words);
            if (out.origin_address.empty()) return std::nullopt;
        } else if (line[0] == 'c') {
            const auto address = connection_address(value);
            if (!address) return std::nullopt;
            if (media) {
                // Several c= lines are for layered multicast: the first counts.
                if (!has_address.back()) media->rtp.address = *address;
                has_address.back() = true;
            } else {
                session_address = address;
                has_session_address = true;
            }
        } else if (line[0] == 'm') {
            const auto head = media_head(line);
            if (!head || out.media.size() == kMaxMediaLines) return std::nullopt;
            MediaLine next;
            next.kind = head->kind;
            next.protocol = head->protocol;
            next.rtp.port = head->port;
            next.direction = session_direction;
            out.media.push_back(std::move(next));
            rtcp_ports.emplace_back();
            rtcp_addresses.emplace_back();
            has_address.push_back(false);
        } else if (const auto direction = direction_of(line)) {
            (media ? media->direction : session_direction) = *direction;
        } else if (media && line == "a=rtcp-mux") {
            media->rtcp_mux = true;
        } else if (media && line == "a=rtcp-mux-only") {
            media->rtcp_mux = media->only_mux = true;
        } else if (media && is_attribute(line, "rtcp")) {
            auto words = attribute_value(line);
            const auto port = net::parse_decimal(take_word(words), 65535);
            if (!port) return std::nullopt;
            rtcp_ports.back() = static_cast<std::uint16_t>(*port);
            if (!words.empty()) rtcp_addresses.back() = connection_address(words);
        } else if (media && is_attribute(line, "meshd")) {
            if (auto mesh = mesh_media(attribute_value(line))) media->mesh.push_back(std::move(*mesh));
        } else if (is_ice(line) && media) {
            media->ice = true;
        }
    }
    if (number < 3) return std::nullopt;
    for (std::size_t i = 0; i < out.media.size(); ++i) {
        auto& media = out.media[i];
        if (!has_address[i]) {
            // RFC 8866 5.7: every m-line has an address, of its own or the session's. A refused one needs none.
            if (!has_session_address && media.rtp.port != 0) return std::nullopt;
            media.rtp.address = session_address.value_or(net::IpAddress{});
        }
        media.rtcp = {media.rtp.address, static_cast<std::uint16_t>(media.rtp.port == 0 || media.rtp.port == 65535 ? 0 : media.rtp.port + 1)};
        if (rtcp_ports[i]) media.rtcp.port = *rtcp_ports[i];
        if (rtcp_addresses[i] && !rtcp_addresses[i]->is_none()) media.rtcp.address = *rtcp_addresses[i];
    }
    return out;
}

std::optional<std::string> rewrite_sdp(std::string_view text, const std::vector<Anchor>& anchors) {
    const auto session = SessionDescription::parse(text);
    if (!session) return std::nullopt;
    const auto anchored = [&](std::size_t index) {
        return index < anchors.size() && index < session->media.size() && !anchors[index].rtp.is_none() &&
               !session->media[index].rejected();
    };
    const auto address_of = [&](std::size_t index) {
        const auto& anchor = anchors[index].rtp.address;
        if (!session->media[index].held()) return anchor;
        const std::array<std::byte, 16> zeros{};
        return anchor.is_v6() ? net::IpAddress::v6(zeros) : net::IpAddress::v4(0);
    };
    // The session's c= line is for those m-lines that have none of their own, and stays: each anchored m-line gets its
    // own. But an address that nothing uses any more is nobody's business on the other side.
    std::optional<net::IpAddress> session_address;
    bool all_anchored = !session->media.empty();
    for (std::size_t i = 0; i < session->media.size(); ++i) {
        if (anchored(i)) {
            if (!session_address) session_address = address_of(i);
        } else if (!session->media[i].rejected()) {
            all_anchored = false;
        }
    }

    std::string out;
    out.reserve(text.size() + 128 * session->media.size());
    std::size_t index = SIZE_MAX;  // of the m-line that we are below; SIZE_MAX above the first
    std::string_view line_end = "\r\n";
    bool section_has_connection = false;
    bool connection_due = false;
    bool attributes_due = false;
    const auto line_out = [&](std::string_view line) { out.append(line).append(line_end); };
    const auto connection_out = [&] {
        if (std::exchange(connection_due, false)) line_out("c=" + connection_text(address_of(index)));
    };
    const auto attributes_out = [&] {
        if (!std::exchange(attributes_due, false)) return;
        const auto& anchor = anchors[index];
        const net::Endpoint next{anchor.rtp.address, static_cast<std::uint16_t>(anchor.rtp.port + 1)};
        const auto rtcp = anchor.rtcp.value_or(next);
        if (rtcp != next) line_out("a=rtcp:" + std::to_string(rtcp.port) + " " + connection_text(rtcp.address));
        if (anchor.mesh) {
            line_out("a=meshd:" + anchor.mesh->node + " " + anchor.mesh->anchor.address.text() + " " +
                     std::to_string(anchor.mesh->anchor.port));
        }
    };

    auto rest = text;
    while (!rest.empty()) {
        std::string_view end;
        const auto line = take_line(rest, end);
        if (!end.empty()) line_end = end;
        if (line.empty()) continue;  // the empty line at the end
        if (line[0] == 'm') {
            if (index != SIZE_MAX) {
                connection_out();
                attributes_out();
            }
            ++index;
            section_has_connection = false;
            connection_due = attributes_due = anchored(index);
            if (!anchored(index)) {
                line_out(line);
                continue;
            }
            const auto head = *media_head(line);
            line_out("m=" + std::string(head.kind) + " " + std::to_string(anchors[index].rtp.port) + " " +
                     std::string(head.protocol) + " " + std::string(head.formats));
            continue;
        }
        if (leads_past(line) || is_attribute(line, "meshd")) continue;
        if (index == SIZE_MAX) {
            if (line[0] == 'c' && all_anchored && session_address) {
                line_out("c=" + connection_text(*session_address));
            } else {
                line_out(line);
            }
            continue;
        }
        if (anchored(index)) {
            if (line[0] == 'c') {
                if (!std::exchange(section_has_connection, true)) connection_out();
                continue;
            }
            // The order of RFC 8866 is i, c, b, k, a: ours goes before the first b=, k= or a=.
            if (line[0] != 'i') connection_out();
            if (is_attribute(line, "rtcp")) continue;
            if (line[0] == 'a') {
                line_out(line);
                continue;
            }
        }
        line_out(line);
    }
    if (index != SIZE_MAX) {
        connection_out();
        attributes_out();
    }
    return out;
}

std::string without_mesh_media(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        std::string_view end;
        const auto line = take_line(text, end);
        if (!is_attribute(line, "meshd")) out.append(line).append(end);
    }
    return out;
}

}  // namespace voice
