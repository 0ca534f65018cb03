#include "voice/header_name.hpp"

#include <array>

#include "net/text.hpp"

namespace voice {
namespace {

struct Row {
    std::string_view name;
    HeaderName id;
};

/// By length, so that few are compared.
constexpr std::array<Row, 34> kRows{{{"To", HeaderName::to},
                                     {"Via", HeaderName::via},
                                     {"From", HeaderName::from},
                                     {"CSeq", HeaderName::cseq},
                                     {"Path", HeaderName::path},
                                     {"Route", HeaderName::route},
                                     {"Allow", HeaderName::allow},
                                     {"Event", HeaderName::event},
                                     {"Call-ID", HeaderName::call_id},
                                     {"Contact", HeaderName::contact},
                                     {"Expires", HeaderName::expires},
                                     {"Require", HeaderName::require},
                                     {"Subject", HeaderName::subject},
                                     {"Refer-To", HeaderName::refer_to},
                                     {"Identity", HeaderName::identity},
                                     {"Supported", HeaderName::supported},
                                     {"User-Agent", HeaderName::user_agent},
                                     {"Min-Expires", HeaderName::min_expires},
                                     {"Retry-After", HeaderName::retry_after},
                                     {"Referred-By", HeaderName::referred_by},
                                     {"Max-Forwards", HeaderName::max_forwards},
                                     {"Content-Type", HeaderName::content_type},
                                     {"Record-Route", HeaderName::record_route},
                                     {"Allow-Events", HeaderName::allow_events},
                                     {"Authorization", HeaderName::authorization},
                                     {"Proxy-Require", HeaderName::proxy_require},
                                     {"Service-Route", HeaderName::service_route},
                                     {"Content-Length", HeaderName::content_length},
                                     {"Accept-Contact", HeaderName::accept_contact},
                                     {"Reject-Contact", HeaderName::reject_contact},
                                     {"Session-Expires", HeaderName::session_expires},
                                     {"Content-Encoding", HeaderName::content_encoding},
                                     {"WWW-Authenticate", HeaderName::www_authenticate},
                                     {"Proxy-Authenticate", HeaderName::proxy_authenticate}}};
constexpr std::string_view kProxyAuthorization = "Proxy-Authorization";

/// Where the rows of each length begin.
constexpr auto kFirst = [] {
    std::array<std::uint8_t, 20> first{};
    for (std::size_t length = 0; length < first.size(); ++length) {
        std::uint8_t row = 0;
        while (row < kRows.size() && kRows[row].name.size() < length) ++row;
        first[length] = row;
    }
    return first;
}();

HeaderName compact(char letter) {
    switch (letter | 0x20) {
    case 'a': return HeaderName::accept_contact;
    case 'b': return HeaderName::referred_by;
    case 'c': return HeaderName::content_type;
    case 'e': return HeaderName::content_encoding;
    case 'f': return HeaderName::from;
    case 'i': return HeaderName::call_id;
    case 'j': return HeaderName::reject_contact;
    case 'k': return HeaderName::supported;
    case 'l': return HeaderName::content_length;
    case 'm': return HeaderName::contact;
    case 'o': return HeaderName::event;
    case 'r': return HeaderName::refer_to;
    case 's': return HeaderName::subject;
    case 't': return HeaderName::to;
    case 'u': return HeaderName::allow_events;
    case 'v': return HeaderName::via;
    case 'x': return HeaderName::session_expires;
    case 'y': return HeaderName::identity;
    default: return HeaderName::other;
    }
}

}  // namespace

HeaderName header_name(std::string_view name) {
    if (name.size() == 1) return compact(name[0]);
    if (name.size() == kProxyAuthorization.size()) {
        return net::equals_ignoring_case(name, kProxyAuthorization) ? HeaderName::proxy_authorization : HeaderName::other;
    }
    if (name.size() + 1 >= kFirst.size()) return HeaderName::other;
    for (auto row = kFirst[name.size()]; row < kFirst[name.size() + 1]; ++row) {
        if ((kRows[row].name[0] | 0x20) == (name[0] | 0x20) && net::equals_ignoring_case(kRows[row].name, name)) return kRows[row].id;
    }
    return HeaderName::other;
}

}  // namespace voice
