/// REGISTER on its way from a phone to the centre and back:
///
///   phone --REGISTER Contact: phone--> meshd --Contact: token at meshd--> centre
///   phone <--200 Contact: phone, short expires-- meshd <--200 or 401, learnt from-- centre
///
/// Challenges and passwords pass untouched. What the centre grants is kept for as long as it grants it, while the phone
/// is told to come again soon: so its own next refresh finds out, and heals, whatever has happened since.
#pragma once

#include "voice/forking.hpp"
#include "voice/registrar.hpp"

namespace voice {

class Registration final : public ForkUser {
public:
    Registration(Exchange& exchange, Forking& forking, Credentials& credentials)
        : exchange_(exchange), forking_(forking), registrar_(exchange, credentials) {}

    void arrived(const RequestArrived& event, net::Now now);

    bool shape(Fork& fork, const Target& target, Message& request, net::Now now) override;
    std::vector<Target> spare(Fork& fork, net::Now now) override;
    void passing(Fork& fork, const Branch& branch, Message& response, net::Now now) override;
    void heard(Fork& fork, const Branch& branch, int status, std::optional<std::uint32_t> retry_after_s,
               net::Now now) override;
    void ended(Fork& fork, int status, net::Now now) override;

private:
    /// A Contact as the phone wrote it, and the token that stands for it at the centre.
    struct Offered {
        NameAddr contact;
        std::string token;
    };
    /// After an outage all phones come at once: whether this one may go on to the centre now. Those that may not are
    /// answered here, and come again soon.
    bool admit(const Message& request, const Flow& flow, net::Now now);
    /// How much later than others one shall come again that may not go on now: all that came at once come one by one.
    std::chrono::seconds turn(net::Now now);
    void learn(const Fork& fork, Message& response, net::Now now);

    Exchange& exchange_;
    Forking& forking_;
    Registrar registrar_;
    std::unordered_map<ServerId, std::vector<Offered>> offered_;
    double admissions_ = 0;
    net::Steady admitted_at_;
    net::Steady last_turn_;  ///< given to who had to wait, as if it came at once
    std::unordered_map<std::string, net::Steady> admitted_;  ///< by Call-ID, a few seconds each
};

}  // namespace voice
