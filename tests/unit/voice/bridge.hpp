/// A back-to-back user agent: two calls joined, each with a Call-ID, tags, Contact and sequence numbers of its own.
#pragma once

#include "voice/transaction.hpp"
#include "world.hpp"

namespace test {

class Bridge {
public:
    Bridge(World& world, voice::Transactions& transactions, net::Endpoint at) : world_(world), transactions_(transactions), at_(at) {}

    bool carries_media = false;  ///< puts its own address in every SDP

    void invite(const voice::RequestArrived& event, const voice::Uri& callee);
    void in_dialog(const voice::RequestArrived& event);
    void ack(const voice::AckArrived& event);
    bool response(const voice::ResponseArrived& event);  ///< false: of no call here
    bool cancelled(voice::ServerId id);
    void forget() { legs_.clear(); }  ///< restarted

private:
    using LegId = std::size_t;  ///< the other leg of a call is id ^ 1
    struct Leg {
        voice::NameAddr local, remote;
        voice::Uri target;
        std::vector<voice::NameAddr> routes;
        std::string call_id;
        std::uint32_t cseq = 0, invite_cseq = 0;
        voice::ServerId asked = 0;  ///< an INVITE that came here and waits
    };
    struct Passed {
        voice::ServerId from = 0;
        LegId leg = 0;  ///< that the request came by
        std::optional<voice::Message> answer;  ///< a 2xx, which is sent again
    };
    voice::Message request(Leg& leg, std::string_view method);
    void start(voice::Message message, const Passed& passed);
    std::optional<LegId> leg_of(const voice::Message& request) const;
    void copy_body(const voice::Message& from, voice::Message& to) const;
    voice::Flow flow_to(const Leg& leg) const;
    voice::NameAddr contact() const { return voice::NameAddr::of(voice::Uri::of("b2bua", at_)); }

    World& world_;
    voice::Transactions& transactions_;
    net::Endpoint at_;
    std::vector<Leg> legs_;
    std::map<voice::ClientId, Passed> passed_;
};

}  // namespace test
