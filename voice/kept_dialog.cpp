#include "voice/kept_dialog.hpp"

namespace voice {

namespace {

// u8 format, u8 transport, u64 expires (Unix time), the phone's endpoint and the token (u16 length and bytes), the NOTIFY.
constexpr std::uint8_t kDialogFormat = 1;
constexpr std::size_t kMaxNotifyBytes = 4096;
constexpr const char* kNoVia = "SIP/2.0/UDP 0.0.0.0;branch=z9hG4bK0";  // none is no message

void put_part(net::Writer& out, std::string_view text) {
    out.u16be(static_cast<std::uint16_t>(text.size())).bytes(net::as_bytes(text));
}
std::string part(net::Reader& in) { return std::string(net::as_text(in.bytes(in.u16be()))); }

}  // namespace

net::Bytes kept_value(const KeptDialog& dialog) {
    auto notify = dialog.notify;
    notify.prepend("Via", kNoVia);
    const auto text = notify.to_bytes();
    if (text.size() > kMaxNotifyBytes || dialog.token.size() > UINT16_MAX) return {};
    net::Writer out;
    out.u8(kDialogFormat).u8(static_cast<std::uint8_t>(dialog.transport));
    out.u64be(static_cast<std::uint64_t>(net::unix_seconds(dialog.expires)));
    put_part(out, dialog.phone.text());
    put_part(out, dialog.token);
    return out.bytes(text).take();
}

std::optional<KeptDialog> kept_dialog(net::ByteView value) {
    net::Reader in(value);
    const auto format = in.u8();
    const auto transport = in.u8();
    const auto expires = in.u64be();
    const auto phone = net::Endpoint::parse(part(in));
    KeptDialog out;
    out.token = part(in);
    if (!in.ok() || format != kDialogFormat || transport > static_cast<std::uint8_t>(Transport::tls) || !phone) return std::nullopt;
    if (expires > 9'000'000'000) return std::nullopt;  // nanoseconds would overflow
    auto notify = Message::parse(in.rest());
    if (!notify || !notify->is("NOTIFY")) return std::nullopt;
    out.notify = std::move(*notify);
    out.notify.pop_via();
    out.transport = static_cast<Transport>(transport);
    out.phone = *phone;
    out.expires = net::from_unix_seconds(static_cast<std::int64_t>(expires));
    return out;
}

}  // namespace voice
