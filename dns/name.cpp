#include "dns/name.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace dns {
namespace {

std::size_t wire_bytes(const std::vector<std::string>& labels) {
    std::size_t bytes = 1;
    for (const auto& label : labels) bytes += 1 + label.size();
    return bytes;
}

}  // namespace

std::optional<Name> Name::parse(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    Name out;
    while (!text.empty()) {
        const auto end = std::min(text.find('.'), text.size());
        if (end == 0 || end > kMaxLabelBytes || end + 1 == text.size()) return std::nullopt;
        out.labels_.push_back(net::to_lower(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    std::reverse(out.labels_.begin(), out.labels_.end());
    return wire_bytes(out.labels_) > kMaxWireBytes ? std::nullopt : std::optional(std::move(out));
}

std::optional<Name> Name::read(net::Reader& reader) {
    Name out;
    std::size_t bytes = 1;
    for (;;) {
        const auto length = reader.u8();
        if (length > kMaxLabelBytes) return std::nullopt;
        const auto label = net::as_text(reader.bytes(length));
        bytes += length == 0 ? 0 : 1u + length;
        if (!reader.ok() || bytes > kMaxWireBytes) return std::nullopt;
        if (length == 0) break;
        out.labels_.push_back(net::to_lower(label));
    }
    std::reverse(out.labels_.begin(), out.labels_.end());
    return out;
}

bool Name::is_within(const Name& other) const {
    return other.labels_.size() <= labels_.size() &&
           std::equal(other.labels_.begin(), other.labels_.end(), labels_.begin());
}

Name Name::last(std::size_t count) const {
    Name out;
    out.labels_.assign(labels_.begin(), labels_.begin() + static_cast<std::ptrdiff_t>(std::min(count, labels_.size())));
    return out;
}

std::optional<Name> Name::child(std::string_view label) const {
    if (label.empty() || label.size() > kMaxLabelBytes || wire_bytes(labels_) + 1 + label.size() > kMaxWireBytes) {
        return std::nullopt;
    }
    auto out = *this;
    out.labels_.push_back(net::to_lower(label));
    return out;
}

net::Bytes Name::wire() const {
    net::Writer out;
    for (auto label = labels_.rbegin(); label != labels_.rend(); ++label) {
        out.u8(static_cast<std::uint8_t>(label->size())).bytes(net::as_bytes(*label));
    }
    out.u8(0);
    return out.take();
}

std::string Name::text() const {
    std::string out;
    for (auto label = labels_.rbegin(); label != labels_.rend(); ++label) {
        if (!out.empty()) out += '.';
        for (const char c : *label) {
            if (c > ' ' && c <= '~' && c != '\\' && c != '.') {
                out += c;
                continue;
            }
            const auto code = std::to_string(static_cast<unsigned char>(c));
            out += '\\' + std::string(3 - code.size(), '0') + code;
        }
    }
    return out;
}

Name reverse_name(const net::IpAddress& address) {
    std::string text = address.is_v4() ? "in-addr.arpa" : "ip6.arpa";
    for (const auto byte : address.bytes()) {
        const auto value = std::to_integer<unsigned>(byte);
        if (address.is_v4()) {
            text = std::to_string(value) + "." + text;
        } else {
            static constexpr char kHex[] = "0123456789abcdef";
            text = std::string{kHex[value & 15], '.', kHex[value >> 4], '.'} + text;
        }
    }
    return *Name::parse(text);
}

std::vector<Name> reverse_zones(const net::Prefix& network) {
    const auto address = network.address();
    const unsigned bits_per_label = address.is_v4() ? 8 : 4;
    const unsigned labels = (network.length() + bits_per_label - 1) / bits_per_label;
    const auto first = reverse_name(address);
    std::vector<Name> out;
    if (labels == 0) return {first.last(2)};
    // The label that the network's length ends in counts from what the address says on.
    const unsigned count = 1U << (labels * bits_per_label - network.length());
    const auto parent = first.last(2 + labels - 1);
    const auto from = static_cast<unsigned>(std::stoul(first.labels()[1 + labels], nullptr, address.is_v4() ? 10 : 16));
    for (unsigned i = 0; i < count; ++i) {
        const auto value = from + i;
        const auto label = address.is_v4() ? std::to_string(value) : std::string(1, "0123456789abcdef"[value & 15]);
        out.push_back(*parent.child(label));
    }
    return out;
}

}  // namespace dns
