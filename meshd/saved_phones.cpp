#include "meshd/saved_phones.hpp"

namespace meshd {
namespace {

// u8 format, then for each binding its texts (u16 length and bytes) and numbers, in the order of the struct.
constexpr std::uint8_t kFormat = 2;
constexpr std::uint8_t kWithoutPath = 1;

void put(net::Writer& out, std::string_view text) {
    text = text.substr(0, UINT16_MAX);
    out.u16be(static_cast<std::uint16_t>(text.size())).bytes(net::as_bytes(text));
}
std::string get(net::Reader& in) { return std::string(net::as_text(in.bytes(in.u16be()))); }

void put(net::Writer& out, net::Wall at) { out.u64be(static_cast<std::uint64_t>(net::unix_seconds(at))); }
net::Wall get_wall(net::Reader& in) {
    // Out of range would overflow nanoseconds: such a time is as good as none.
    const auto seconds = in.u64be();
    return net::from_unix_seconds(seconds < 9'000'000'000 ? static_cast<std::int64_t>(seconds) : 0);
}

}  // namespace

net::Bytes to_value(const std::vector<voice::SavedBinding>& bindings) {
    if (bindings.empty()) return {};
    net::Writer out;
    out.u8(kFormat);
    for (const auto& binding : bindings) {
        put(out, binding.aor);
        put(out, binding.contact);
        put(out, binding.token);
        out.u8(static_cast<std::uint8_t>(binding.transport));
        put(out, binding.path);
        put(out, binding.phone.text());
        put(out, binding.call_id);
        out.u32be(binding.cseq);
        put(out, binding.expires);
        put(out, binding.centre_expires);
        put(out, binding.confirmed);
    }
    return out.take();
}

std::vector<voice::SavedBinding> saved_phones(net::ByteView value) {
    std::vector<voice::SavedBinding> out;
    net::Reader in(value);
    const auto format = in.u8();
    if (format != kFormat && format != kWithoutPath) return out;
    while (in.ok() && in.left() > 0) {
        voice::SavedBinding binding;
        binding.aor = get(in);
        binding.contact = get(in);
        binding.token = get(in);
        const auto transport = in.u8();
        if (transport > static_cast<std::uint8_t>(voice::Transport::tls)) break;
        binding.transport = static_cast<voice::Transport>(transport);
        if (format != kWithoutPath) binding.path = get(in);
        const auto phone = net::Endpoint::parse(get(in));
        binding.call_id = get(in);
        binding.cseq = in.u32be();
        binding.expires = get_wall(in);
        binding.centre_expires = get_wall(in);
        binding.confirmed = get_wall(in);
        if (!in.ok() || !phone) break;
        binding.phone = *phone;
        out.push_back(std::move(binding));
    }
    return out;
}

}  // namespace meshd
