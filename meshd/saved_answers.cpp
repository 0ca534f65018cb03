#include "meshd/saved_answers.hpp"

#include <algorithm>

#include "net/text.hpp"

namespace meshd {
namespace {

// u8 format, u64 Unix seconds, the message.
constexpr std::uint8_t kFormat = 1;
constexpr std::size_t kMaxMessageBytes = 4096;  // longer ones are not kept

std::string name_of(const voice::DnsQuestion& question) {
    return std::string(SavedAnswers::kPrefix) + std::to_string(static_cast<unsigned>(question.type)) + ":" + question.name;
}

std::optional<voice::DnsQuestion> question_of(std::string_view name) {
    name.remove_prefix(SavedAnswers::kPrefix.size());
    const auto colon = name.find(':');
    const auto type = net::parse_decimal(name.substr(0, colon), UINT16_MAX);
    if (colon == name.npos || !type) return std::nullopt;
    for (const auto known : {voice::DnsType::a, voice::DnsType::aaaa, voice::DnsType::srv, voice::DnsType::naptr}) {
        if (static_cast<std::uint64_t>(known) == *type) return voice::DnsQuestion{std::string(name.substr(colon + 1)), known};
    }
    return std::nullopt;
}

}  // namespace

std::map<std::string, net::Bytes> SavedAnswers::keep(const voice::DnsQuestion& question, net::ByteView message, net::Wall now) {
    std::map<std::string, net::Bytes> out;
    if (message.size() > kMaxMessageBytes) return out;
    const auto name = name_of(question);
    const auto known = written_.find(name);
    if (known != written_.end() && now - known->second < kWriteEvery && now >= known->second) return out;
    written_[name] = now;
    net::Writer value;
    value.u8(kFormat).u64be(static_cast<std::uint64_t>(net::unix_seconds(now))).bytes(message);
    out[name] = value.take();
    if (written_.size() > kMax) {
        const auto oldest = std::min_element(written_.begin(), written_.end(),
                                             [](const auto& a, const auto& b) { return a.second < b.second; });
        out[oldest->first] = {};
        written_.erase(oldest);
    }
    return out;
}

std::vector<SavedAnswers::Saved> SavedAnswers::restore(const std::map<std::string, net::Bytes>& values) {
    std::vector<Saved> out;
    for (auto value = values.lower_bound(std::string(kPrefix)); value != values.end(); ++value) {
        if (!value->first.starts_with(kPrefix)) break;
        const auto question = question_of(value->first);
        net::Reader in(value->second);
        const auto format = in.u8();
        const auto seconds = in.u64be();
        if (!question || format != kFormat || !in.ok() || seconds > 9'000'000'000) continue;
        const auto at = net::from_unix_seconds(static_cast<std::int64_t>(seconds));
        out.push_back({*question, net::copy(in.bytes(in.left())), at});
        written_[value->first] = at;
    }
    return out;
}

}  // namespace meshd
