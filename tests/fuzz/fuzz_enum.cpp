// Two ways in: a NAPTR record's regexp field (first byte '!' to '~'), and a whole DNS message (any other first byte, that
// is taken off). What comes out must be one URI line and no more, whatever went in, and cost no more than its bound.
#include <cstdint>
#include <cstdlib>

#include "voice/enum.hpp"
#include "voice/locate.hpp"
#include "voice/substitution.hpp"

namespace {

void require(bool held) {
    if (!held) std::abort();
}

constexpr std::string_view kNumber = "+442079460148";

void judge(const voice::EnumResult& result) {
    require(result.records.size() <= voice::kMaxEnumRecords);
    for (const auto& record : result.records) {
        require(record.uri.size() <= voice::Substitution::kMaxResult);
        for (const char c : record.uri) require(c > ' ' && c <= '~');
        require(record.why.empty() == (record.verdict == voice::EnumVerdict::usable));
    }
    for (const auto& uri : result.uris) require(uri.is_sip() && !uri.host.empty());
}

void rewrite(std::string_view text) {
    voice::DnsFacts facts;
    voice::DnsAnswer answer;
    answer.kind = voice::DnsAnswer::Kind::found;
    answer.naptrs.push_back({1, 1, "u", "E2U+sip", std::string(text), ""});
    facts.add({voice::enum_domain(kNumber, "example"), voice::DnsType::naptr}, answer, false);
    judge(voice::look_up_number(kNumber, {"example"}, facts));
}

void read(net::ByteView bytes) {
    const voice::DnsQuestion naptr{"8.4.1.0.6.4.9.7.0.2.4.4.example", voice::DnsType::naptr};
    if (const auto answer = voice::parse_dns_answer(naptr, bytes)) {
        require(answer->naptrs.size() <= voice::kMaxDnsRecords && answer->srvs.empty() && answer->addresses.empty());
        voice::DnsFacts facts;
        facts.add(naptr, *answer, false);
        judge(voice::look_up_number(kNumber, {"example"}, facts));
    }
    const voice::DnsQuestion srv{"_sip._udp.example", voice::DnsType::srv};
    if (const auto answer = voice::parse_dns_answer(srv, bytes)) {
        voice::DnsFacts facts;
        net::SeededRandom random(1);
        facts.add(srv, *answer, false);
        const auto uri = voice::Uri::parse("sip:a@example;transport=udp");
        const auto located = voice::locate(*uri, {}, facts, random);
        require(located.hops.size() <= voice::kMaxHops);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto bytes = std::as_bytes(std::span(data, size));
    if (data[0] > ' ' && data[0] <= '~') {
        rewrite(net::as_text(bytes));
    } else {
        read(bytes.subspan(1));
    }
    return 0;
}
