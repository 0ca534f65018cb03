#include "meshd/saved_calls.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "meshd/cbor_writer.hpp"
#include "net/text.hpp"

namespace meshd {

using nlohmann::json;

namespace {

constexpr std::size_t kMostStreams = 32;
constexpr std::size_t kMostTextBytes = 60000;  // of a datagram

double seconds(net::Wall at) {
    return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count()) / 1000;
}

json end_json(const std::optional<net::Endpoint>& end) { return end ? json(end->text()) : json(); }

json wall_json(const std::optional<net::Wall>& at) { return at ? json(seconds(*at)) : json(); }

double jitter_ms(const voice::HeardFigures& heard) { return std::round(heard.jitter_ms * 100) / 100; }

std::optional<net::Wall> wall_of(const json& value) {
    constexpr double kLatest = 9e9;  // later ones overflow nanoseconds
    if (!value.is_number()) return std::nullopt;
    const auto seconds = value.get<double>();
    if (!(seconds >= 0 && seconds < kLatest)) return std::nullopt;
    return net::Wall(std::chrono::milliseconds(std::llround(seconds * 1000)));
}

json heard_json(const voice::HeardFigures& heard) {
    return {{"packets", heard.packets},
            {"bytes", heard.bytes},
            {"lost", heard.lost},
            {"rtcp_packets", heard.rtcp_packets},
            {"jitter_ms", jitter_ms(heard)},
            {"longest_gap_ms", std::round(heard.longest_gap_ms)}};
}

template <class Number>
Number number(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_number() ? found->template get<Number>() : Number{};
}

std::string text(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

json member(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() ? json() : *found;
}

voice::HeardFigures heard_of(const json& value) {
    if (!value.is_object()) return {};
    return {number<std::uint64_t>(value, "packets"), number<std::uint64_t>(value, "bytes"), number<std::uint64_t>(value, "lost"),
            number<std::uint64_t>(value, "rtcp_packets"), number<double>(value, "jitter_ms"), number<double>(value, "longest_gap_ms")};
}

}  // namespace

std::string name_of_saved_call(std::uint64_t number) {
    net::Writer bytes;
    bytes.u64be(number);
    return std::string(kCallPrefix) + net::to_hex(bytes.view());
}

json streams_json(const std::vector<voice::StreamFigures>& streams) {
    auto out = json::array();
    for (const auto& stream : streams) {
        out.push_back({{"kind", stream.kind},
                       {"from_caller", heard_json(stream.from_caller)},
                       {"from_callee", heard_json(stream.from_callee)}});
    }
    return out;
}

std::string_view media_of(bool answered, const std::vector<voice::StreamFigures>& streams) {
    return !answered ? "" : streams.empty() ? "direct" : "anchored";
}

std::string_view not_measured(std::string_view media) { return media == "direct" ? "media direct: not measured here" : ""; }

json call_json(const voice::CallRecord& record) {
    return {{"number", record.number},
            {"id", record.id},
            {"from", record.from},
            {"to", record.to},
            {"path", record.path},
            {"node", record.node},
            {"other", record.other},
            {"our_end", end_json(record.our_end)},
            {"far_end", end_json(record.far_end)},
            {"started", wall_json(record.started)},
            {"rang", wall_json(record.rang)},
            {"answered", wall_json(record.answered)},
            {"ended", wall_json(record.ended)},
            {"seen", wall_json(record.seen)},
            {"why", record.why},
            {"status", record.status},
            {"audio", record.audio},
            {"streams", streams_json(record.streams)}};
}

json shown_json(const voice::CallRecord& record) {
    auto out = call_json(record);
    const auto media = media_of(record.answered.has_value(), record.streams);
    out["media"] = media;
    out["not_measured"] = not_measured(media);
    return out;
}

namespace {

void write(CborWriter& out, const std::optional<net::Wall>& at) {
    if (at) {
        out.real(seconds(*at));
    } else {
        out.null();
    }
}

void write(CborWriter& out, const std::optional<net::Endpoint>& end) {
    if (end) {
        out.text(end->text());
    } else {
        out.null();
    }
}

void write(CborWriter& out, const voice::HeardFigures& heard) {
    out.map(6).text("packets").number(heard.packets).text("bytes").number(heard.bytes).text("lost").number(heard.lost);
    out.text("rtcp_packets").number(heard.rtcp_packets).text("jitter_ms").real(jitter_ms(heard));
    out.text("longest_gap_ms").real(std::round(heard.longest_gap_ms));
}

}  // namespace

/// What call_json() says. A phone's name for itself need not be UTF-8, which text in JSON must be.
net::Bytes to_value(const voice::CallRecord& record) {
    CborWriter out;
    out.map(18).text("number").number(record.number).text("id").text(record.id).text("from").text(record.from);
    out.text("to").text(record.to).text("path").text(record.path).text("node").text(record.node);
    out.text("other").text(record.other);
    write(out.text("our_end"), record.our_end);
    write(out.text("far_end"), record.far_end);
    write(out.text("started"), record.started);
    write(out.text("rang"), record.rang);
    write(out.text("answered"), record.answered);
    write(out.text("ended"), record.ended);
    write(out.text("seen"), record.seen);
    out.text("why").text(record.why).text("status").number(static_cast<std::uint64_t>(std::max(record.status, 0)));
    out.text("audio").text(record.audio).text("streams").array(record.streams.size());
    for (const auto& stream : record.streams) {
        out.map(3).text("kind").text(stream.kind);
        write(out.text("from_caller"), stream.from_caller);
        write(out.text("from_callee"), stream.from_callee);
    }
    return out.take();
}

namespace {

std::optional<voice::CallRecord> record_of(const json& object) {
    if (!object.is_object()) return std::nullopt;
    voice::CallRecord out;
    out.number = number<std::uint64_t>(object, "number");
    out.id = text(object, "id");
    const auto started = wall_of(member(object, "started"));
    if (out.number == 0 || out.id.empty() || !started) return std::nullopt;
    out.from = text(object, "from");
    out.to = text(object, "to");
    out.path = text(object, "path");
    out.node = text(object, "node");
    out.other = text(object, "other");
    out.our_end = net::Endpoint::parse(text(object, "our_end"));
    out.far_end = net::Endpoint::parse(text(object, "far_end"));
    out.started = *started;
    out.rang = wall_of(member(object, "rang"));
    out.answered = wall_of(member(object, "answered"));
    out.ended = wall_of(member(object, "ended"));
    out.seen = wall_of(member(object, "seen")).value_or(*started);
    out.why = text(object, "why");
    out.status = number<int>(object, "status");
    out.audio = text(object, "audio");
    const auto streams = member(object, "streams");
    if (!streams.is_array()) return out;
    for (const auto& stream : streams) {
        if (!stream.is_object()) continue;
        if (out.streams.size() == kMostStreams) break;
        out.streams.push_back({text(stream, "kind"), heard_of(member(stream, "from_caller")), heard_of(member(stream, "from_callee"))});
    }
    return out;
}

}  // namespace

std::optional<voice::CallRecord> saved_call(net::ByteView value) {
    const auto* begin = net::u8(value);
    try {
        return record_of(json::from_cbor(begin, begin + value.size(), /*strict=*/true, /*allow_exceptions=*/false));
    } catch (const json::exception&) {  // of a list that says to have more than any could
        return std::nullopt;
    }
}

std::string accounts_text(const std::vector<voice::CallRecord>& records) {
    std::string out = "[";
    for (const auto& record : records) {
        const auto one = call_json(record).dump(-1, ' ', false, json::error_handler_t::replace);
        if (out.size() + one.size() > kMostTextBytes) break;
        out += (out.size() > 1 ? "," : "") + one;
    }
    return out + "]";
}

std::vector<voice::CallRecord> accounts_of(std::string_view text) {
    std::vector<voice::CallRecord> out;
    const auto list = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!list.is_array()) return out;
    for (const auto& one : list) {
        if (auto record = record_of(one)) out.push_back(std::move(*record));
    }
    return out;
}

}  // namespace meshd
