#include "discovery/upnp.hpp"

#include <algorithm>
#include <array>

#include "net/text.hpp"

namespace discovery::upnp {
namespace {

constexpr std::uint16_t kSearchPort = 1900;
constexpr std::size_t kLongestUrl = 1024;
constexpr std::size_t kLongestHeader = 8192;
constexpr std::size_t kLongestTag = 256;
constexpr std::string_view kScheme = "http://";

/// The value of a header field, in what stands before the body.
std::optional<std::string_view> header(std::string_view head, std::string_view name) {
    for (auto at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at + 1)) {
        const auto line = head.substr(at + 1, head.find('\n', at + 1) - at - 1);
        const auto colon = line.find(':');
        if (colon != std::string_view::npos && net::equals_ignoring_case(net::trim(line.substr(0, colon)), name)) {
            return net::trim(line.substr(colon + 1));
        }
    }
    return std::nullopt;
}

bool is_path(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

/// An element's inside, and where it ends; nullopt if there is none from `at` on. In one pass, whatever stands there: what
/// begins with '<' and is no tag by then, or has another '<' in it, is none.
struct Inside {
    std::string_view text;
    std::size_t end = 0;
};
std::optional<Inside> inside(std::string_view xml, std::string_view name, std::size_t at) {
    for (at = xml.find('<', at); at != std::string_view::npos; at = xml.find('<', at + 1)) {
        auto tag = xml.substr(at + 1, kLongestTag + 1);
        const auto length = tag.find_first_of("<>");
        if (length == std::string_view::npos || tag[length] == '<') continue;
        const auto close = at + 1 + length;
        tag = tag.substr(0, length);
        tag = tag.substr(0, tag.find_first_of(" \t\r\n/"));
        if (tag.substr(tag.find(':') == std::string_view::npos ? 0 : tag.find(':') + 1) != name) continue;
        const auto ending = "</" + std::string(tag) + ">";
        const auto end = xml.find(ending, close);
        if (end == std::string_view::npos) return std::nullopt;
        return Inside{xml.substr(close + 1, end - close - 1), end + ending.size()};
    }
    return std::nullopt;
}

/// Chunks one after the other; nullopt while the last is missing.
std::optional<std::string> unchunk(std::string_view rest, bool& broken) {
    std::string body;
    for (;;) {
        const auto line_end = rest.find("\r\n");
        if (line_end == std::string_view::npos) {
            broken |= rest.size() > 32;
            return std::nullopt;
        }
        std::size_t size = 0;
        const auto digits = net::trim(rest.substr(0, std::min(line_end, rest.find(';'))));
        if (digits.empty() || digits.size() > 6) broken = true;
        for (const char c : digits) {
            const auto value = std::string_view("0123456789abcdef").find(net::to_lower(std::string_view(&c, 1)));
            if (value == std::string_view::npos) broken = true;
            size = size * 16 + (value & 15);
        }
        if (broken) return std::nullopt;
        if (size == 0) return body;
        rest.remove_prefix(line_end + 2);
        if (rest.size() < size + 2) return std::nullopt;
        body += rest.substr(0, size);
        rest.remove_prefix(size + 2);
    }
}

net::Bytes to_bytes(const std::string& text) { return net::copy(net::as_bytes(text)); }

}  // namespace

net::Endpoint search_group() { return {net::IpAddress::v4(239, 255, 255, 250), kSearchPort, 0}; }

net::Bytes search() {
    return to_bytes("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n"
                    "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n");
}

std::optional<Url> Url::parse(std::string_view text) {
    if (text.size() > kLongestUrl || !net::equals_ignoring_case(text.substr(0, kScheme.size()), kScheme)) return std::nullopt;
    text.remove_prefix(kScheme.size());
    const auto slash = std::min(text.find('/'), text.size());
    const auto place = text.substr(0, slash);
    Url out;
    if (const auto endpoint = net::Endpoint::parse(place)) {
        out.host = *endpoint;
    } else if (const auto address = net::IpAddress::parse(place)) {
        out.host = {*address, 80, 0};
    } else {
        return std::nullopt;
    }
    if (slash < text.size()) out.path = text.substr(slash);
    if (out.host.port == 0 || !is_path(out.path)) return std::nullopt;
    return out;
}

std::optional<Url> Url::relative(std::string_view reference) const {
    if (reference.empty() || reference.size() > kLongestUrl || !is_path(reference)) return std::nullopt;
    if (reference.find("://") != std::string_view::npos) return parse(reference);
    if (reference.starts_with("//")) return parse("http:" + std::string(reference));
    const auto folder = reference.starts_with('/') ? std::string() : path.substr(0, path.rfind('/') + 1);
    return Url{host, folder + std::string(reference)};
}

std::optional<Url> location_of(net::ByteView answer) {
    const auto text = net::as_text(answer);
    if (!text.starts_with("HTTP/1.1 200") && !text.starts_with("HTTP/1.0 200")) return std::nullopt;
    const auto location = header(text, "location");
    return location ? Url::parse(*location) : std::nullopt;
}

std::optional<std::string> element(std::string_view xml, std::string_view name) {
    const auto found = inside(xml, name, 0);
    return found ? std::optional(std::string(net::trim(found->text))) : std::nullopt;
}

std::vector<Service> services_of(std::string_view description, const Url& from) {
    auto base = from;
    if (const auto told = element(description, "URLBase"); told && !told->empty()) base = Url::parse(*told).value_or(from);
    std::vector<Service> out;
    for (const auto* kind : {"urn:schemas-upnp-org:service:WANIPConnection:", "urn:schemas-upnp-org:service:WANPPPConnection:"}) {
        for (auto found = inside(description, "service", 0); found; found = inside(description, "service", found->end)) {
            const auto type = element(found->text, "serviceType");
            auto control = element(found->text, "controlURL");
            if (!type || !control || !type->starts_with(kind) || type->size() > 128 || !is_path(*type)) continue;
            if (control->size() > kLongestUrl) continue;
            for (auto at = control->find("&amp;"); at != std::string::npos; at = control->find("&amp;", at + 1)) control->erase(at + 1, 4);
            const auto url = base.relative(*control);
            if (url && type->find_first_of("\"<>&") == std::string::npos && out.size() < kMaxServices) out.push_back({*type, *url});
        }
    }
    return out;
}

std::optional<HttpAnswer> parse_http(net::ByteView bytes, bool ended, bool& broken) {
    const auto text = net::as_text(bytes);
    const auto end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        broken = ended || text.size() > kLongestHeader;
        return std::nullopt;
    }
    broken = end > kLongestHeader;
    if (broken) return std::nullopt;
    const auto head = text.substr(0, end);
    const auto rest = text.substr(end + 4);
    const auto space = head.find(' ');
    const auto status = space == std::string_view::npos ? std::nullopt : net::parse_decimal(head.substr(space + 1, 3), 999);
    broken = !head.starts_with("HTTP/1.") || !status;
    if (broken) return std::nullopt;
    HttpAnswer out{static_cast<unsigned>(*status), {}};
    const auto coding = header(head, "transfer-encoding"), length = header(head, "content-length");
    if (coding && net::equals_ignoring_case(*coding, "chunked")) {
        auto body = unchunk(rest, broken);
        broken |= ended && !body;
        if (!body || broken) return std::nullopt;
        out.body = std::move(*body);
        return out;
    }
    const auto size = length ? net::parse_decimal(*length) : std::nullopt;
    if (size && rest.size() < *size) {
        broken = ended;
        return std::nullopt;
    }
    if (!size && !ended) return std::nullopt;
    out.body = rest.substr(0, size ? static_cast<std::size_t>(*size) : rest.size());
    return out;
}

net::Bytes get(const Url& url) {
    return to_bytes("GET " + url.path + " HTTP/1.1\r\nHost: " + url.host.text() + "\r\nConnection: close\r\n\r\n");
}

net::Bytes call(const Service& service, std::string_view action, const std::vector<Argument>& arguments) {
    const std::string name(action);
    auto body = "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
                "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:" + name + " xmlns:u=\"" + service.type + "\">";
    for (const auto& [argument, value] : arguments) body += "<" + std::string(argument) + ">" + value + "</" + std::string(argument) + ">";
    body += "</u:" + name + "></s:Body></s:Envelope>\r\n";
    return to_bytes("POST " + service.control.path + " HTTP/1.1\r\nHost: " + service.control.host.text() +
                    "\r\nContent-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"" + service.type + "#" + name +
                    "\"\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body);
}

}  // namespace discovery::upnp
