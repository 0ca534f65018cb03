#include "voice/mailbox.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace voice {

namespace {

// u8 format, caller, callee (u16 length and bytes), u64 received and expires (Unix time), and the message.
constexpr std::uint8_t kFormat = 1;

void put_text(net::Writer& out, std::string_view text) {
    out.u16be(static_cast<std::uint16_t>(text.size())).bytes(net::as_bytes(text));
}
std::string get_text(net::Reader& in) {
    return std::string(net::as_text(in.bytes(in.u16be())));
}
void put_wall(net::Writer& out, net::Wall at) {
    out.u64be(static_cast<std::uint64_t>(net::unix_seconds(at)));
}
net::Wall get_wall(net::Reader& in) {
    const auto seconds = in.u64be();  // out of range would overflow nanoseconds
    return net::from_unix_seconds(seconds < 9'000'000'000 ? static_cast<std::int64_t>(seconds) : 0);
}

net::Bytes to_value(const KeptMessage& kept) {
    net::Writer out;
    out.u8(kFormat);
    put_text(out, kept.caller);
    put_text(out, kept.callee);
    put_wall(out, kept.received);
    put_wall(out, kept.expires);
    out.bytes(kept.message.to_bytes());
    return out.take();
}

std::optional<KeptMessage> from_value(net::ByteView value) {
    net::Reader in(value);
    KeptMessage out;
    if (in.u8() != kFormat) return std::nullopt;
    out.caller = get_text(in);
    out.callee = get_text(in);
    out.received = get_wall(in);
    out.expires = get_wall(in);
    if (!in.ok()) return std::nullopt;
    auto message = Message::parse(in.rest());
    if (!message || !message->is("MESSAGE")) return std::nullopt;
    out.message = std::move(*message);
    return out;
}

std::string number_text(std::uint64_t number) {
    std::string out(16, '0');
    for (auto digit = out.rbegin(); digit != out.rend(); ++digit, number >>= 4) *digit = "0123456789abcdef"[number & 15];
    return out;
}
std::optional<std::uint64_t> number_in(std::string_view text) {
    const auto bytes = net::from_hex(text);
    if (!bytes || bytes->size() != 8) return std::nullopt;
    return net::Reader(*bytes).u64be();
}

std::string name_of(const KeptMessage& kept) {
    return std::string(Mailbox::kKept) + number_text(kept.id);
}

}  // namespace

std::string Mailbox::delivery_of(const Message& message, bool by_centre) {
    return std::string(kDelivered) + std::string(message.call_id()) + ' ' + message.from_tag() + ' ' +
           std::to_string(message.cseq().number) + (by_centre ? " by centre" : "");
}

tl::expected<std::uint64_t, Mailbox::Refusal> Mailbox::put(const Message& message, const Aor& caller, const Aor& callee,
                                                           net::Now now) {
    const auto asked = std::chrono::seconds(message.expires_s().value_or(UINT32_MAX));
    if (asked.count() == 0) return tl::unexpected(Refusal::expired);
    Kept kept{{last_id_ + 1, caller, callee, now.wall, now.wall + std::min(asked, limits_.keep), message}, 0, batch_.id};
    auto value = to_value(kept.what);
    kept.bytes = value.size();
    if (kept.bytes > limits_.message_bytes) return tl::unexpected(Refusal::too_large);
    if (waiting(callee) >= limits_.per_callee) return tl::unexpected(Refusal::callee_full);
    const auto sent = by_caller_.find(caller);
    if (sent != by_caller_.end() && sent->second >= limits_.per_caller) return tl::unexpected(Refusal::caller_full);
    if (messages_.size() >= limits_.all || bytes_ + kept.bytes > limits_.all_bytes) return tl::unexpected(Refusal::full);
    write(name_of(kept.what), std::move(value), true);
    add(std::move(kept));
    return last_id_;
}

void Mailbox::add(Kept kept) {
    const auto id = kept.what.id;
    last_id_ = std::max(last_id_, id);
    bytes_ += kept.bytes;
    changed_.insert(kept.what.callee);
    by_callee_[kept.what.callee].push_back(id);
    ++by_caller_[kept.what.caller];
    by_expiry_.emplace(kept.what.expires, id);
    messages_.emplace(id, std::move(kept));
}

void Mailbox::remove(std::uint64_t id) {
    const auto at = messages_.find(id);
    if (at == messages_.end()) return;
    const auto& [what, bytes, batch] = at->second;
    write(name_of(what), {}, false);
    bytes_ -= bytes;
    changed_.insert(what.callee);
    by_expiry_.erase({what.expires, id});
    auto& queue = by_callee_[what.callee];
    std::erase(queue, id);
    if (queue.empty()) by_callee_.erase(what.callee);
    const auto sent = by_caller_.find(what.caller);
    if (--sent->second == 0) by_caller_.erase(sent);
    messages_.erase(at);
}

void Mailbox::expire(net::Wall now) {
    while (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
        const auto id = by_expiry_.begin()->second;
        remove(id);
    }
}

const KeptMessage* Mailbox::find(std::uint64_t id) const {
    const auto at = messages_.find(id);
    return at == messages_.end() ? nullptr : &at->second.what;
}

const KeptMessage* Mailbox::first(const Aor& callee) const {
    const auto queue = by_callee_.find(callee);
    if (queue == by_callee_.end()) return nullptr;
    const auto& kept = messages_.at(queue->second.front());
    return kept.batch == 0 ? &kept.what : nullptr;
}

bool Mailbox::has(const Aor& caller, const Aor& callee) const {
    const auto queue = by_callee_.find(callee);
    return queue != by_callee_.end() && std::any_of(queue->second.begin(), queue->second.end(), [&](auto id) {
        return messages_.at(id).what.caller == caller;
    });
}

std::vector<Aor> Mailbox::callees(const Aor& after, std::size_t most) const {
    std::vector<Aor> out;
    for (auto at = by_callee_.upper_bound(after); at != by_callee_.end() && out.size() < most; ++at) out.push_back(at->first);
    return out;
}

std::size_t Mailbox::waiting(const Aor& callee) const {
    const auto queue = by_callee_.find(callee);
    return queue == by_callee_.end() ? 0 : queue->second.size();
}

std::vector<MailView> Mailbox::views() const {
    std::vector<MailView> out;
    for (const auto& [callee, queue] : by_callee_) {
        out.push_back({callee, queue.size(), messages_.at(queue.front()).what.received});
    }
    return out;
}

void Mailbox::remember(const std::string& name, net::Wall until) {
    if (!delivered_.insert_or_assign(name, until).second) return;
    delivered_order_.push_back(name);
    if (delivered_order_.size() <= limits_.delivered) return;
    delivered_.erase(delivered_order_.front());
    write(delivered_order_.front(), {}, false);
    delivered_order_.pop_front();
}

void Mailbox::note_delivered(const Message& message, bool by_centre, bool lasting, net::Now now) {
    const auto name = delivery_of(message, by_centre);
    const auto until = now.wall + limits_.keep;
    remember(name, until);
    if (!lasting) return;
    net::Writer out;
    put_wall(out, until);
    write(name, out.take(), false);
}

bool Mailbox::was_delivered(const Message& message, bool by_centre, net::Now now) const {
    const auto at = delivered_.find(delivery_of(message, by_centre));
    return at != delivered_.end() && at->second > now.wall;
}

void Mailbox::write(const std::string& name, net::Bytes value, bool sync) {
    batch_.values[name] = std::move(value);
    batch_.sync |= sync;
}

std::optional<MailBatch> Mailbox::take_batch() {
    if (batch_.values.empty()) return std::nullopt;
    return std::exchange(batch_, MailBatch{batch_.id + 1, {}, false});
}

std::vector<std::uint64_t> Mailbox::stored(std::uint64_t batch) {
    std::vector<std::uint64_t> out;
    // What is not on the disk yet is among the last.
    for (auto at = messages_.rbegin(); at != messages_.rend() && at->second.batch != 0; ++at) {
        if (at->second.batch > batch) continue;
        at->second.batch = 0;
        out.push_back(at->first);
    }
    std::reverse(out.begin(), out.end());
    return out;
}

void Mailbox::restore(const std::map<std::string, net::Bytes>& values, net::Now now) {
    std::multimap<net::Wall, std::string> delivered;
    for (const auto& [name, value] : values) {
        if (name.starts_with(kKept)) {
            const auto id = number_in(std::string_view(name).substr(kKept.size()));
            auto what = from_value(value);
            if (id && what && what->expires > now.wall && *id != UINT64_MAX) {
                what->id = *id;
                add({std::move(*what), value.size(), 0});
                continue;
            }
        } else if (name.starts_with(kDelivered)) {
            net::Reader in(value);
            const auto until = get_wall(in);
            if (in.ok() && until > now.wall) {
                delivered.emplace(until, name);
                continue;
            }
        } else {
            continue;
        }
        write(name, {}, false);
    }
    for (const auto& [until, name] : delivered) remember(name, until);
}

}  // namespace voice
