#include "discovery/bootstrap.hpp"

#include <algorithm>
#include <utility>

#include "net/text.hpp"

namespace discovery {
namespace {

using namespace std::chrono_literals;

constexpr net::Duration kShortestTtl = 1min;
constexpr net::Duration kLongestTtl = 5min;
constexpr net::Duration kFirstRetry = 1s;
constexpr net::Duration kLongestRetry = 1min;
constexpr std::size_t kLongestHost = 253;       // RFC 1035 section 2.3.4, as text
constexpr std::size_t kAddressesPerName = 16;   // a name server's answer does not decide how many packets we send

bool is_host_name(std::string_view text) {
    if (text.empty() || text.size() > kLongestHost) return false;
    return std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == '_';
    });
}

}  // namespace

std::optional<BootstrapEntry> BootstrapEntry::parse(std::string_view text) {
    BootstrapEntry entry;
    if (const auto address = net::IpAddress::parse(text)) {
        entry.host = address->text();
        return entry;
    }
    std::string_view host = text, port;
    bool bracketed = false;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        bracketed = true;
        host = text.substr(1, end - 1);
        if (const auto rest = text.substr(end + 1); !rest.empty()) {
            if (rest.front() != ':' || rest.size() == 1) return std::nullopt;
            port = rest.substr(1);
        }
    } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
        if (port.empty()) return std::nullopt;
    }
    if (!port.empty()) {
        const auto number = net::parse_decimal(port, 65535);
        if (!number || *number == 0) return std::nullopt;
        entry.port = static_cast<std::uint16_t>(*number);
    }
    const auto address = net::IpAddress::parse(host);
    if (bracketed && (!address || !address->is_v6())) return std::nullopt;
    if (!address && !is_host_name(host)) return std::nullopt;
    // "192.0.2.300" is a slip of an address, not a name: no top-level domain is a number.
    if (!address && host.find_first_not_of("0123456789.") == std::string_view::npos) return std::nullopt;
    entry.host = address ? address->text() : net::to_lower(host);
    return entry;
}

Bootstrap::Bootstrap(std::vector<BootstrapEntry> entries, net::Random& random, net::Now now)
    : entries_(std::move(entries)), random_(random) {
    for (const auto& entry : entries_) {
        if (find(entry.host) != nullptr) continue;
        Name name{.host = entry.host, .addresses = {}};
        if (const auto address = net::IpAddress::parse(entry.host)) {
            name.state = State::idle;  // for good: kNever
            name.addresses = {*address};
            changed_ = true;
        }
        names_.push_back(std::move(name));
    }
    tick(now);
}

Bootstrap::Name* Bootstrap::find(const std::string& host) {
    const auto found = std::ranges::find(names_, host, &Name::host);
    return found == names_.end() ? nullptr : &*found;
}

void Bootstrap::tick(net::Now now) {
    for (auto& name : names_) {
        if (name.state == State::idle && name.ask_again <= now.steady) name.state = State::due;
    }
}

net::Steady Bootstrap::next_deadline() const {
    auto earliest = net::kNever;
    for (const auto& name : names_) {
        if (name.state == State::idle) earliest = std::min(earliest, name.ask_again);
    }
    return earliest;
}

void Bootstrap::network_changed(net::Now now) {
    for (auto& name : names_) {
        if (name.state != State::idle || name.ask_again == net::kNever) continue;
        name.ask_again = now.steady;
        name.failures = 0;
    }
    tick(now);
}

std::vector<std::string> Bootstrap::take_questions() {
    std::vector<std::string> questions;
    for (auto& name : names_) {
        if (name.state != State::due) continue;
        name.state = State::asked;
        questions.push_back(name.host);
    }
    return questions;
}

void Bootstrap::resolved(const std::string& host, const std::vector<net::IpAddress>& addresses,
                         std::chrono::seconds ttl, net::Now now) {
    auto* const name = find(host);
    if (name == nullptr || name->state != State::asked) return;
    if (addresses.empty()) return failed(host, now);
    name->state = State::idle;
    name->failures = 0;
    name->ask_again = now.steady + std::clamp<net::Duration>(ttl, kShortestTtl, kLongestTtl);
    auto known = addresses;
    if (known.size() > kAddressesPerName) known.resize(kAddressesPerName);
    if (known != name->addresses) {
        name->addresses = std::move(known);
        changed_ = true;
    }
}

void Bootstrap::failed(const std::string& host, net::Now now) {
    auto* const name = find(host);
    if (name == nullptr || name->state != State::asked) return;
    name->state = State::idle;
    const auto wait = std::min(kLongestRetry, kFirstRetry * (1U << std::min(name->failures, 6U)));
    ++name->failures;
    // Up to a tenth more, so that nodes that lost their name server together do not come back in step.
    const auto tenth = static_cast<std::uint64_t>(wait.count() / 10);
    name->ask_again = now.steady + wait + net::Duration(static_cast<std::int64_t>(random_.below(tenth)));
}

std::vector<net::Endpoint> Bootstrap::endpoints() const {
    std::vector<net::Endpoint> out;
    for (const auto& entry : entries_) {
        const auto name = std::ranges::find(names_, entry.host, &Name::host);
        for (const auto& address : name->addresses) {
            const net::Endpoint endpoint{address, entry.port, 0};
            if (std::ranges::count(out, endpoint) == 0) out.push_back(endpoint);
        }
    }
    return out;
}

bool Bootstrap::take_changed() { return std::exchange(changed_, false); }

}  // namespace discovery
