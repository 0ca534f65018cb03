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
// A name server's answer does not decide how many packets we send.
constexpr std::size_t kAddressesPerName = 16;
constexpr std::size_t kServicesPerDomain = 16;
constexpr std::size_t kEndpointsPerEntry = 16;

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
    entry.domain = !address && port.empty();
    return entry;
}

Bootstrap::Bootstrap(std::vector<BootstrapEntry> entries, net::Random& random, net::Now now)
    : entries_(std::move(entries)), random_(random) {
    settle();
    changed_ = std::ranges::any_of(names_, [](const Name& name) { return !name.addresses.empty(); });
    tick(now);
}

Bootstrap::Name* Bootstrap::find(const Question& question) {
    const auto found = std::ranges::find(names_, question, &Name::question);
    return found == names_.end() ? nullptr : &*found;
}

const Bootstrap::Name* Bootstrap::find(const Question& question) const {
    const auto found = std::ranges::find(names_, question, &Name::question);
    return found == names_.end() ? nullptr : &*found;
}

/// Which names matter, by what is known of the domains; those that no longer do are forgotten.
void Bootstrap::settle() {
    using Kind = Question::Kind;
    std::vector<Question> wanted;
    const auto want = [&](Kind kind, const std::string& name) {
        if (!name.empty() && std::ranges::count(wanted, Question{kind, name}) == 0) wanted.push_back({kind, name});
    };
    for (const auto& entry : entries_) {
        const auto* const domain = entry.domain ? find({Kind::services, entry.host}) : nullptr;
        if (entry.domain) want(Kind::services, entry.host);
        if (domain != nullptr) {
            for (const auto& service : domain->services) want(Kind::addresses, service.target);
        }
        const bool undecided = domain != nullptr && domain->services.empty() && (domain->answered || domain->failures > 0);
        if (!entry.domain || undecided) want(Kind::addresses, entry.host);
    }
    std::erase_if(names_, [&](const Name& name) { return std::ranges::count(wanted, name.question) == 0; });
    for (auto& question : wanted) {
        if (find(question) != nullptr) continue;
        Name name{.question = std::move(question), .addresses = {}, .services = {}};
        if (const auto address = net::IpAddress::parse(name.question.name)) {
            name.state = State::idle;  // for good: kNever
            name.addresses = {*address};
        }
        names_.push_back(std::move(name));
    }
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

std::vector<Bootstrap::Question> Bootstrap::take_questions() {
    std::vector<Question> questions;
    for (auto& name : names_) {
        if (name.state != State::due) continue;
        name.state = State::asked;
        questions.push_back(name.question);
    }
    return questions;
}

void Bootstrap::known(Name& name, std::chrono::seconds ttl, net::Now now) {
    name.state = State::idle;
    name.failures = 0;
    name.answered = true;
    name.ask_again = now.steady + std::clamp<net::Duration>(ttl, kShortestTtl, kLongestTtl);
}

void Bootstrap::resolved(const std::string& host, const std::vector<net::IpAddress>& addresses,
                         std::chrono::seconds ttl, net::Now now) {
    const Question question{Question::Kind::addresses, host};
    auto* const name = find(question);
    if (name == nullptr || name->state != State::asked) return;
    if (addresses.empty()) return failed(question, now);
    known(*name, ttl, now);
    auto fresh = addresses;
    if (fresh.size() > kAddressesPerName) fresh.resize(kAddressesPerName);
    if (fresh != name->addresses) {
        name->addresses = std::move(fresh);
        changed_ = true;
    }
}

void Bootstrap::served(const std::string& domain, const std::vector<BootstrapService>& services, std::chrono::seconds ttl,
                       net::Now now) {
    auto* const name = find({Question::Kind::services, domain});
    if (name == nullptr || name->state != State::asked) return;
    known(*name, ttl, now);
    auto fresh = services;
    std::ranges::sort(fresh);
    if (fresh.size() > kServicesPerDomain) fresh.resize(kServicesPerDomain);
    auto before = name->services;
    std::ranges::sort(before);
    if (fresh != before) {
        name->services = ordered(std::move(fresh));
        changed_ = true;
    }
    settle();
}

/// RFC 2782: by priority; of one priority by lot, the heavier the sooner.
std::vector<BootstrapService> Bootstrap::ordered(std::vector<BootstrapService> services) {
    std::ranges::sort(services);  // within a priority those of weight 0 come first, as the lot wants them
    std::vector<BootstrapService> out;
    while (!services.empty()) {
        const auto end = std::ranges::find_if(services, [&](const auto& one) { return one.priority != services.front().priority; });
        std::uint64_t sum = 0;
        for (auto one = services.begin(); one != end; ++one) sum += one->weight;
        const auto lot = random_.below(sum + 1);
        std::uint64_t running = 0;
        auto chosen = services.begin();
        while ((running += chosen->weight) < lot) ++chosen;
        out.push_back(*chosen);
        services.erase(chosen);
    }
    return out;
}

void Bootstrap::failed(const Question& question, net::Now now) {
    auto* const name = find(question);
    if (name == nullptr || name->state != State::asked) return;
    name->state = State::idle;
    const auto wait = std::min(kLongestRetry, kFirstRetry * (1U << std::min(name->failures, 6U)));
    ++name->failures;
    // Up to a tenth more, so that nodes that lost their name server together do not come back in step.
    const auto tenth = static_cast<std::uint64_t>(wait.count() / 10);
    name->ask_again = now.steady + wait + net::Duration(static_cast<std::int64_t>(random_.below(tenth)));
    settle();
}

std::vector<net::Endpoint> Bootstrap::endpoints_of(const BootstrapEntry& entry) const {
    std::vector<net::Endpoint> out;
    const auto put = [&](const std::string& host, std::uint16_t port) {
        const auto* const name = find({Question::Kind::addresses, host});
        if (name == nullptr || port == 0) return;
        for (const auto& address : name->addresses) out.push_back({address, port, 0});
    };
    const auto* const domain = entry.domain ? find({Question::Kind::services, entry.host}) : nullptr;
    if (domain != nullptr && !domain->services.empty()) {
        for (const auto& service : domain->services) put(service.target, service.port);
    } else {
        put(entry.host, entry.port);
    }
    if (out.size() > kEndpointsPerEntry) out.resize(kEndpointsPerEntry);
    return out;
}

std::vector<net::Endpoint> Bootstrap::endpoints() const {
    std::vector<net::Endpoint> out;
    for (const auto& entry : entries_) {
        for (const auto& endpoint : endpoints_of(entry)) {
            if (std::ranges::count(out, endpoint) == 0) out.push_back(endpoint);
        }
    }
    return out;
}

bool Bootstrap::take_changed() { return std::exchange(changed_, false); }

}  // namespace discovery
