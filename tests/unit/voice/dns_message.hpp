/// DNS messages, byte by byte.
#pragma once

#include "voice/dns.hpp"

class DnsMessage {
public:
    explicit DnsMessage(voice::DnsQuestion question, unsigned rcode = 0) : question_(std::move(question)), rcode_(rcode) {}

    DnsMessage& naptr(const std::string& owner, std::uint32_t ttl, const voice::Naptr& record) {
        net::Writer data;
        data.u16be(record.order).u16be(record.preference);
        for (const auto* text : {&record.flags, &record.services, &record.regexp}) {
            data.u8(static_cast<std::uint8_t>(text->size())).bytes(net::as_bytes(*text));
        }
        name(data, record.replacement);
        return add(owner, 35, ttl, data.view());
    }
    DnsMessage& srv(const std::string& owner, std::uint32_t ttl, const voice::Srv& record) {
        net::Writer data;
        data.u16be(record.priority).u16be(record.weight).u16be(record.port);
        name(data, record.target);
        return add(owner, 33, ttl, data.view());
    }
    DnsMessage& host(const std::string& owner, std::uint32_t ttl, const net::IpAddress& address) {
        return add(owner, address.is_v6() ? 28 : 1, ttl, address.bytes());
    }
    DnsMessage& alias(const std::string& owner, std::uint32_t ttl, const std::string& target) {
        net::Writer data;
        name(data, target);
        return add(owner, 5, ttl, data.view());
    }
    DnsMessage& soa(const std::string& owner, std::uint32_t ttl, std::uint32_t minimum) {
        net::Writer data;
        name(data, "ns.example");
        name(data, "hostmaster.example");
        data.u32be(1).u32be(2).u32be(3).u32be(4).u32be(minimum);
        authority_ = true;
        return add(owner, 6, ttl, data.view());
    }
    DnsMessage& add(const std::string& owner, std::uint16_t type, std::uint32_t ttl, net::ByteView data) {
        name(records_, owner);
        records_.u16be(type).u16be(1).u32be(ttl).u16be(static_cast<std::uint16_t>(data.size())).bytes(data);
        ++count_;
        return *this;
    }
    net::Bytes bytes() const {
        net::Writer out;
        const auto answers = static_cast<std::uint16_t>(authority_ ? 0 : count_);
        const auto authority = static_cast<std::uint16_t>(authority_ ? count_ : 0);
        out.u16be(1).u16be(static_cast<std::uint16_t>(0x8180 | rcode_)).u16be(1).u16be(answers).u16be(authority).u16be(0);
        name(out, question_.name);
        out.u16be(static_cast<std::uint16_t>(question_.type)).u16be(1).bytes(records_.view());
        return out.take();
    }

private:
    static void name(net::Writer& out, std::string_view text) {
        while (!text.empty()) {
            const auto dot = text.find('.');
            const auto label = text.substr(0, dot);
            out.u8(static_cast<std::uint8_t>(label.size())).bytes(net::as_bytes(label));
            text.remove_prefix(dot == text.npos ? text.size() : dot + 1);
        }
        out.u8(0);
    }

    voice::DnsQuestion question_;
    unsigned rcode_;
    net::Writer records_;
    unsigned count_ = 0;
    bool authority_ = false;
};
