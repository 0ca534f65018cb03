#include "voice/credentials.hpp"

#include <algorithm>

namespace voice {

namespace {

constexpr std::string_view kForProxies = "Proxy-Authorization";
constexpr std::string_view kForUs = "Authorization";
constexpr auto kBestFirst = {DigestAlgorithm::sha512_256, DigestAlgorithm::sha256, DigestAlgorithm::md5};

const std::string& ha1_in(const UserRecord& user, DigestAlgorithm algorithm) {
    switch (algorithm) {
        case DigestAlgorithm::md5:
            return user.ha1_md5;
        case DigestAlgorithm::sha256:
            return user.ha1_sha256;
        case DigestAlgorithm::sha512_256:
            return user.ha1_sha512_256;
    }
    return user.ha1_md5;
}

constexpr std::size_t kMaxRealms = 8;  // a centre has one, or one for each domain

}  // namespace

Credentials::Credentials(Exchange& exchange)
    : exchange_(exchange), digest_({exchange.settings.domain, std::chrono::seconds(300), 20000}, exchange.random) {}

bool Credentials::provisioned(const Aor& aor) const {
    const auto user = exchange_.directory().user(aor);
    return user && user->realm == exchange_.settings.domain && !offered(user).empty();
}

std::vector<DigestAlgorithm> Credentials::offered(const std::optional<UserRecord>& user) const {
    const auto& wanted = exchange_.settings.digests;
    const bool ours = user && user->realm == exchange_.settings.domain;
    const auto has = [&](DigestAlgorithm algorithm) { return !ha1_in(*user, algorithm).empty(); };
    if (!ours || std::none_of(kBestFirst.begin(), kBestFirst.end(), has)) return ours ? std::vector<DigestAlgorithm>() : wanted;
    std::vector<DigestAlgorithm> out;
    std::copy_if(wanted.begin(), wanted.end(), std::back_inserter(out), has);
    if (out.empty()) std::copy_if(kBestFirst.begin(), kBestFirst.end(), std::back_inserter(out), has);
    return out;
}

std::optional<Message> Credentials::refusal(const Message& request, const Aor& aor, Asker asker, net::Now now) {
    const auto& directory = exchange_.directory();
    const auto user_of = [&](std::string_view name) {
        return std::string(name) + (name.find('@') == std::string_view::npos ? "@" + exchange_.settings.domain : "");
    };
    const auto ha1_of = [&](std::string_view name, DigestAlgorithm algorithm) -> std::optional<std::string> {
        const auto user = directory.user(user_of(name));
        if (!user || user->realm != exchange_.settings.domain) return std::nullopt;
        // What was not offered is not taken: a weaker one is for whoever knows the weaker value only.
        const auto good = offered(user);
        if (std::find(good.begin(), good.end(), algorithm) == good.end()) return std::nullopt;
        return ha1_in(*user, algorithm);
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
        auto algorithms = exchange_.settings.digests;
        // Everybody who has a password has a value for MD5: most challenges need no look at the record.
        if (algorithms != std::vector{DigestAlgorithm::md5}) {
            if (auto his = offered(directory.user(aor)); !his.empty()) algorithms = std::move(his);
        }
        for (const auto& value : digest_.challenges(now, stale, algorithms)) {
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
    const auto realm = digest_realm(credentials);
    return realm && (*realm == exchange_.settings.domain ||
                     std::find(centre_realms_.begin(), centre_realms_.end(), *realm) != centre_realms_.end());
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
