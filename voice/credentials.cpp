#include "voice/credentials.hpp"

#include <algorithm>

namespace voice {

namespace {

constexpr std::string_view kForProxies = "Proxy-Authorization";
constexpr std::string_view kForUs = "Authorization";
constexpr std::size_t kMaxRealms = 8;  // a centre has one, or one for each domain

}  // namespace

Credentials::Credentials(Exchange& exchange)
    : exchange_(exchange), digest_({exchange.settings.domain, std::chrono::seconds(300), 20000}, exchange.random) {}

bool Credentials::provisioned(const Aor& aor) const {
    const auto user = exchange_.directory().user(aor);
    return user && user->realm == exchange_.settings.domain && !user->ha1_md5.empty();
}

std::optional<Message> Credentials::refusal(const Message& request, const Aor& aor, Asker asker, net::Now now) {
    const auto& directory = exchange_.directory();
    const auto user_of = [&](std::string_view name) {
        return std::string(name) + (name.find('@') == std::string_view::npos ? "@" + exchange_.settings.domain : "");
    };
    const auto ha1_of = [&](std::string_view name, DigestAlgorithm algorithm) -> std::optional<std::string> {
        const auto user = directory.user(user_of(name));
        if (!user || user->realm != exchange_.settings.domain) return std::nullopt;
        const auto& ha1 = algorithm == DigestAlgorithm::md5 ? user->ha1_md5 : user->ha1_sha256;
        if (ha1.empty() || algorithm == DigestAlgorithm::sha512_256) return std::nullopt;
        return ha1;
    };
    const auto reply = [&](int status) {
        return Message::response(request, status, {}, exchange_.transactions.make_tag());
    };
    const bool proxy = asker == Asker::proxy;
    const auto check = digest_.check(request, proxy ? kForProxies : kForUs, ha1_of, now);
    if (check.verdict != DigestServer::Verdict::good) {
        const bool stale =
            check.verdict == DigestServer::Verdict::stale || check.verdict == DigestServer::Verdict::replayed;
        auto challenge = reply(proxy ? 407 : 401);
        // MD5 alone: Debian's baresip and sipp fail on a response that offers SHA-256 beside it (RFC 8760 section 2.4).
        for (const auto& value : digest_.challenges(now, stale, {DigestAlgorithm::md5})) {
            challenge.add(proxy ? "Proxy-Authenticate" : "WWW-Authenticate", value);
        }
        return challenge;
    }
    if (user_of(check.username) != aor || !directory.may_bind(exchange_.settings.node, aor)) {
        ++exchange_.counters.forged;
        return reply(403);
    }
    return std::nullopt;
}

void Credentials::learn(const Message& from_centre) {
    if (from_centre.status() != 401 && from_centre.status() != 407) return;
    for (const auto header : {"WWW-Authenticate", "Proxy-Authenticate"}) {
        for (const auto challenge : from_centre.get_all(header)) {
            auto realm = digest_realm(challenge);
            if (!realm || centre_realms_.size() >= kMaxRealms) continue;
            if (std::find(centre_realms_.begin(), centre_realms_.end(), *realm) == centre_realms_.end()) {
                centre_realms_.push_back(std::move(*realm));
            }
        }
    }
}

bool Credentials::ends_here(std::string_view credentials) const {
    const auto given = DigestCredentials::parse(credentials);
    if (!given) return false;
    return given->realm == exchange_.settings.domain ||
           std::find(centre_realms_.begin(), centre_realms_.end(), given->realm) != centre_realms_.end();
}

void Credentials::consume(Message& request) const {
    for (const auto header : {kForProxies, kForUs}) {
        std::vector<std::string> others;
        const auto all = request.get_all(header);
        for (const auto value : all) {
            if (!ends_here(value)) others.emplace_back(value);
        }
        if (others.size() == all.size()) continue;
        request.remove(header);
        for (const auto& value : others) request.add(header, value);
    }
}

}  // namespace voice
