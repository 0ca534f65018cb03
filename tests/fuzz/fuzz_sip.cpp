// Anything may arrive as a SIP message, in a datagram or on a stream. What is accepted must survive a proxy's edits and be
// accepted again; what a stream framer hands out must not depend on how the bytes were cut.
#include <cstdint>
#include <cstdlib>

#include "voice/digest.hpp"
#include "voice/stream.hpp"
#include "voice/transaction.hpp"

namespace {

void require(bool held) {
    if (!held) std::abort();
}

void proxy_edits(voice::Message message) {
    const auto once = voice::Message::parse(message.to_bytes());
    require(once.has_value());
    require(once->to_text() == message.to_text());

    const auto vias = message.via_count();
    voice::Via via;
    via.host = "gw.example";
    via.params.set("branch", "z9hG4bKfuzz");
    message.push_via(via);
    require(message.via_count() == vias + 1);
    message.pop_via();
    require(message.via_count() == vias);
    for (const auto* name : {"Route", "Record-Route", "Contact", "Path"}) {
        const auto before = message.addresses(name).size();
        message.prepend_address(name, voice::NameAddr::of(*voice::Uri::parse("sip:gw.example;lr")));
        require(message.addresses(name).size() == before + 1);
        message.pop_first_address(name);
        require(message.addresses(name).size() == before);
    }
    if (message.is_request()) {
        static_cast<void>(message.uri().address_of_record());
        require(message.uri().equivalent(message.uri()));
        const auto response = voice::Message::response(message, 486, {}, "tag");
        require(voice::Message::parse(response.to_bytes()).has_value());
        require(voice::Message::parse(voice::Message::cancel_for(message).to_bytes()).has_value());
        require(voice::Message::parse(voice::Message::ack_for(message, response).to_bytes()).has_value());
    }
    for (const auto value : message.get_all("Authorization")) voice::DigestCredentials::parse(value);
    message.set_contacts(message.contacts());
    message.set_from(message.from());
    require(voice::Message::parse(message.to_bytes()).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const net::ByteView bytes = std::as_bytes(std::span(data, size));
    const net::Now now{net::Steady(std::chrono::seconds(1)), {}};
    auto parsed = voice::Message::parse(bytes);
    if (!parsed) {
        const auto& answer = parsed.error().response;
        require(answer.empty() || net::as_text(answer).starts_with("SIP/2.0 "));
    } else {
        proxy_edits(*parsed);
        net::SeededRandom random(1);
        voice::Transactions transactions(random);
        voice::Flow flow;
        flow.remote = {net::IpAddress::v4(192, 0, 2, 1), 5060};
        transactions.receive(*parsed, flow, now);
        for (const auto& event : transactions.take_events()) {
            if (const auto* arrived = std::get_if<voice::RequestArrived>(&event)) {
                const auto request = *transactions.request_of(arrived->id);
                transactions.start(request, flow, "gw.example", now);
                transactions.respond(arrived->id, voice::Message::response(request, 404, {}, "t"), now);
            }
        }
        transactions.receive(std::move(*parsed), flow, now);
    }

    voice::StreamFramer whole;
    whole.feed(bytes, now);
    std::vector<net::Bytes> messages;
    while (auto message = whole.next(now)) messages.push_back(std::move(*message));
    voice::StreamFramer pieces;
    std::size_t count = 0;
    for (std::size_t i = 0; i < size; ++i) {
        pieces.feed(bytes.subspan(i, 1), now);
        while (auto message = pieces.next(now)) require(count < messages.size() && *message == messages[count++]);
    }
    require(count == messages.size() && pieces.state() == whole.state());
    whole.expire({net::kNever, {}});
    const auto answer = voice::answer_to_broken(whole);
    require(answer.empty() || net::as_text(answer).starts_with("SIP/2.0 "));
    return 0;
}
