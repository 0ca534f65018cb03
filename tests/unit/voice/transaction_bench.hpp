/// A Transactions object under a virtual clock, what it was told and what it sent.
#pragma once

#include <catch2/catch.hpp>
#include <deque>

#include "voice/transaction.hpp"

namespace transaction_bench {

using namespace std::chrono_literals;
using namespace voice;

inline const net::Endpoint kPhone{net::IpAddress::v4(192, 0, 2, 10), 5062};
inline const net::Endpoint kOurs{net::IpAddress::v4(192, 0, 2, 1), 5060};

struct Bench {
    net::SeededRandom random{7};
    Transactions transactions{random};
    net::Now now{net::Steady(1000s), net::from_unix_seconds(1700000000)};
    Flow flow{Transport::udp, kOurs, kPhone, 0, Side::phone};
    std::deque<TransactionEvent> events;  // references into it stay good

    void tcp() { flow = Flow{Transport::tcp, kOurs, kPhone, 9, Side::phone}; }
    void receive(const std::string& text) {
        auto message = Message::parse(net::as_bytes(text));
        INFO(text);
        INFO((message ? "" : message.error().reason));
        REQUIRE(message);
        transactions.receive(std::move(*message), flow, now);
        collect();
    }
    void collect() {
        for (auto& event : transactions.take_events()) events.push_back(std::move(event));
    }
    /// Lets time pass, tick by tick, and tells what was sent: "ms:first line" each.
    std::vector<std::string> pass(net::Duration duration) {
        std::vector<std::string> log;
        const auto begin = now.steady;
        const auto end = now.steady + duration;
        while (transactions.next_deadline() <= end) {
            now.steady = std::max(now.steady, transactions.next_deadline());
            transactions.tick(now);
            collect();
            for (const auto& line : sent()) {
                log.push_back(std::to_string((now.steady - begin) / 1ms) + ":" + line);
            }
        }
        now.steady = end;
        return log;
    }
    std::vector<std::string> sent() {
        std::vector<std::string> lines;
        for (const auto& out : transactions.take_outgoing()) {
            const auto text = net::as_text(out.bytes);
            lines.emplace_back(text.substr(0, text.find("\r\n")));
            last_sent = std::string(text);
            last_flow = out.flow;
        }
        return lines;
    }
    template <class T>
    std::vector<const T*> all() const {
        std::vector<const T*> found;
        for (const auto& event : events) {
            if (const auto* one = std::get_if<T>(&event)) found.push_back(one);
        }
        return found;
    }
    template <class T>
    const T& only() const {
        const auto found = all<T>();
        REQUIRE(found.size() == 1);
        return *found[0];
    }
    Message sent_message() {
        auto message = Message::parse(net::as_bytes(last_sent));
        REQUIRE(message);
        return std::move(*message);
    }

    std::string last_sent;
    Flow last_flow;
};

inline std::string request(std::string_view method, std::string_view branch = "z9hG4bKabc", std::string_view more = "",
                    std::string_view cseq_method = "") {
    const std::string m(method);
    return m + " sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5062;rport;branch=" + std::string(branch) +
           "\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a1\r\nTo: <sip:bob@example.com>\r\n" +
           "Call-ID: call1\r\nCSeq: 1 " + (cseq_method.empty() ? m : std::string(cseq_method)) + "\r\n" +
           std::string(more) + "Content-Length: 0\r\n\r\n";
}

inline Message make(std::string_view text) {
    auto message = Message::parse(net::as_bytes(text));
    REQUIRE(message);
    return std::move(*message);
}

inline Message outgoing(std::string_view method) {
    auto message = make(request(method));
    message.pop_via();
    return message;
}

/// A response to what was sent last, as text.
inline std::string answer(Bench& bench, int status, std::string_view tag = "b1") {
    return Message::response(bench.sent_message(), status, {}, tag).to_text();
}

using Lines = std::vector<std::string>;
inline const std::string kInviteLine = "INVITE sip:bob@example.com SIP/2.0";

}  // namespace transaction_bench
