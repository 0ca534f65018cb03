#include "voice/enum.hpp"

#include <algorithm>

#include "net/text.hpp"
#include "voice/characters.hpp"
#include "voice/substitution.hpp"

namespace voice {
namespace {

/// RFC 6116 section 3.4.3, Service Parameters: type and subtypes are 1 to 32 letters, digits and '-'.
bool is_service(std::string_view text) {
    std::size_t length = 0;
    for (const char c : text) {
        if (c == ':') {
            if (length == 0) return false;
            length = 0;
        } else if ((!is_alnum(c) && c != '-') || ++length > 32) {
            return false;
        }
    }
    return length > 0;
}

/// "scheme:" of a URI that is one: printable ASCII, something behind the colon. Empty if it is none.
std::string scheme_of(std::string_view uri) {
    const auto colon = uri.find(':');
    if (colon == uri.npos || colon == 0 || colon + 1 == uri.size() || !is_alpha(uri[0])) return {};
    for (const char c : uri) {
        if (c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"') return {};
    }
    for (const char c : uri.substr(0, colon)) {
        if (!is_alnum(c) && c != '+' && c != '-' && c != '.') return {};
    }
    return net::to_lower(uri.substr(0, colon));
}

class EnumSearch {
public:
    EnumSearch(std::string_view number, DnsFacts& facts, EnumResult& out) : number_(number), facts_(facts), out_(out) {}

    /// True if a usable record has been found there, or behind it.
    bool domain(const std::string& name, unsigned depth) {
        const DnsQuestion question{name, DnsType::naptr};
        const auto* answer = facts_.find(question);
        if (answer == nullptr) return false;
        path_.push_back(name);
        out_.domains.push_back({name, answer->kind, facts_.is_stale(question), answer->skipped});
        out_.skipped += answer->skipped;
        auto records = in_order(answer->naptrs);
        std::optional<std::uint16_t> decided;  // RFC 3403 section 4.1: higher orders do not count once one has matched
        for (auto& naptr : records) {
            if (out_.records.size() >= kMaxEnumRecords) {
                ++out_.skipped;
                continue;
            }
            EnumRecord record{name, depth, std::move(naptr), {}, EnumVerdict::skipped, {}, {}};
            if (decided && record.naptr.order > *decided) {
                record.verdict = EnumVerdict::outranked;
                record.why = "a record of order " + std::to_string(*decided) + " has decided";
                out_.records.push_back(std::move(record));
            } else if (const auto order = record.naptr.order; judged(std::move(record))) {
                decided = order;
            }
            if (!facts_.complete()) break;
        }
        path_.pop_back();
        return decided.has_value();
    }

private:
    bool judged(EnumRecord record) {
        if (record.naptr.flags.empty()) return chained(std::move(record));
        terminal(record);
        const bool usable = record.verdict == EnumVerdict::usable;
        if (usable) out_.uris.push_back(*Uri::parse(record.uri));
        if (record.verdict == EnumVerdict::skipped) ++out_.skipped;
        out_.records.push_back(std::move(record));
        return usable;
    }

    /// A record that is not terminal takes its place among the others, then come those of the name that it gives.
    bool chained(EnumRecord record) {
        const auto next = record.naptr.replacement;
        const auto skip = [&](std::string why) {
            record.why = std::move(why);
            ++out_.skipped;
            out_.records.push_back(std::move(record));
            return false;
        };
        if (!record.naptr.regexp.empty()) return skip("not terminal, and yet a regular expression");
        if (next.empty()) return skip("neither terminal nor a name to go on with");
        if (std::find(path_.begin(), path_.end(), next) != path_.end()) return skip("leads back to " + next + ": a loop");
        if (record.depth >= kMaxEnumChain) return skip("the " + std::to_string(kMaxEnumChain + 1) + "th of a chain: too long");
        const auto depth = record.depth + 1;
        record.verdict = EnumVerdict::chain;
        record.why = "goes on at " + next;
        out_.records.push_back(std::move(record));
        return domain(next, depth);
    }

    void terminal(EnumRecord& record) const {
        const auto& naptr = record.naptr;
        if (!net::equals_ignoring_case(naptr.flags, "u")) {
            record.why = "its flag is none of ENUM's";
            return;
        }
        auto services = enum_services(naptr.services);
        if (!services) {
            record.why = "its service is none of ENUM's";
            return;
        }
        record.services = std::move(*services);
        if (!naptr.replacement.empty()) {  // RFC 3403 section 4.1: such a record is in error
            record.why = "both a regular expression and a replacement";
            return;
        }
        const auto substitution = Substitution::parse(naptr.regexp);
        auto uri = substitution ? substitution->apply(number_) : tl::unexpected(substitution.error());
        if (!uri) {
            record.why = uri.error().message;
            return;
        }
        const auto scheme = scheme_of(*uri);
        if (scheme.empty()) {
            record.why = "what it gives is no URI";
            return;
        }
        const bool sip = std::find(record.services.begin(), record.services.end(), "sip") != record.services.end();
        if (!sip) {
            record.uri = std::move(*uri);
            record.verdict = EnumVerdict::shown;
            record.why = "no SIP";
            return;
        }
        const auto parsed = Uri::parse(*uri);
        if (!parsed || !parsed->is_sip() || parsed->host.empty()) {
            record.why = "its service is sip, and yet what it gives is no SIP URI";
            record.uri = std::move(*uri);
            return;
        }
        record.uri = std::move(*uri);
        record.verdict = EnumVerdict::usable;
    }

    std::string_view number_;
    DnsFacts& facts_;
    EnumResult& out_;
    std::vector<std::string> path_;
};

}  // namespace

std::string_view name_of(EnumVerdict verdict) {
    switch (verdict) {
        case EnumVerdict::usable: return "usable";
        case EnumVerdict::shown: return "shown";
        case EnumVerdict::chain: return "chain";
        case EnumVerdict::skipped: return "skipped";
        case EnumVerdict::outranked: return "outranked";
    }
    return "";
}

std::string enum_domain(std::string_view e164, std::string_view suffix) {
    std::string out;
    for (auto c = e164.rbegin(); c != e164.rend(); ++c) {
        if (!is_digit(*c)) continue;
        out += *c;
        out += '.';
    }
    return out + std::string(suffix);
}

std::optional<std::vector<std::string>> enum_services(std::string_view field) {
    std::vector<std::string> parts;
    for (auto rest = field;;) {
        const auto plus = rest.find('+');
        parts.push_back(net::to_lower(rest.substr(0, plus)));
        if (plus == rest.npos) break;
        rest.remove_prefix(plus + 1);
    }
    if (parts.size() < 2) return std::nullopt;
    if (parts.front() == "e2u") {
        parts.erase(parts.begin());
    } else if (parts.back() == "e2u") {
        parts.pop_back();
    } else {
        return std::nullopt;
    }
    if (!std::all_of(parts.begin(), parts.end(), [](const auto& part) { return is_service(part); })) return std::nullopt;
    return parts;
}

EnumResult look_up_number(std::string_view e164, const std::vector<std::string>& suffixes, DnsFacts& facts) {
    EnumResult out;
    for (const auto& suffix : suffixes) {
        const bool found = EnumSearch(e164, facts, out).domain(enum_domain(e164, suffix), 0);
        if (found || !facts.complete()) break;
    }
    return out;
}

}  // namespace voice
