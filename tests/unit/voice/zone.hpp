/// DNS as a table, for what is a function over DnsFacts: it is called again until nothing is missing.
#pragma once

#include <map>

#include "voice/dns_facts.hpp"

struct Zone {
    std::map<voice::DnsQuestion, voice::DnsAnswer> answers;
    std::vector<voice::DnsQuestion> asked;  ///< since the start, in order

    void naptr(const std::string& name, voice::Naptr record) {
        at({name, voice::DnsType::naptr}).naptrs.push_back(std::move(record));
    }
    void srv(const std::string& name, voice::Srv record) {
        at({name, voice::DnsType::srv}).srvs.push_back(std::move(record));
    }
    void host(const std::string& name, const std::string& address) {
        const auto parsed = *net::IpAddress::parse(address);
        at({name, parsed.is_v6() ? voice::DnsType::aaaa : voice::DnsType::a}).addresses.push_back(parsed);
    }

    template <class Function>
    auto run(const Function& function) {
        voice::DnsFacts facts;
        for (;;) {
            auto result = function(facts);
            const auto missing = facts.take_missing();
            if (missing.empty()) return result;
            for (const auto& question : missing) {
                asked.push_back(question);
                const auto found = answers.find(question);
                voice::DnsAnswer nothing;
                nothing.kind = voice::DnsAnswer::Kind::nothing;
                facts.add(question, found == answers.end() ? nothing : found->second, false);
            }
        }
    }

private:
    voice::DnsAnswer& at(const voice::DnsQuestion& question) {
        auto& answer = answers[question];
        answer.kind = voice::DnsAnswer::Kind::found;
        return answer;
    }
};
