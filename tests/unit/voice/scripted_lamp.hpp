/// A lamp: a phone that watches somebody (RFC 6665), from an address of its own. Left alone it does what its test says;
/// one that keeps on registers, refreshes and subscribes anew by itself, as a stock phone does.
#pragma once

#include "voice/digest.hpp"
#include "voice/transaction.hpp"
#include "world.hpp"

namespace test {

class Lamp final : public Host {
public:
    Lamp(World& world, const std::string& user, net::Endpoint at, net::Endpoint proxy);

    void register_now();  ///< as a phone of its user
    void subscribe(const std::string& event, std::uint32_t expires_s, const std::string& whom = "sip:bob@acme.example",
                   const std::string& accept = {});
    void refresh(std::uint32_t expires_s);
    /// From now on: registers, and watches `whom` ("sip:bob@acme.example") for `dialog`, for so long at a time.
    void keep_on(const std::string& whom, std::uint32_t expires_s = 3600);

    struct Notify {
        net::Steady at;
        std::string state;
        std::string body;
        std::string event;
        voice::Message message;
    };
    std::vector<Notify> notifies;
    std::vector<voice::Message> answers;  ///< to SUBSCRIBEs
    int status = 0;                       ///< last, of SUBSCRIBE
    int notify_status = 200;
    int message_status = 486;

    // --- of one that keeps on, which forgets old NOTIFYs
    bool lit() const { return lit_; }  ///< as it was told last
    unsigned subscriptions = 0;        ///< that it began
    net::Duration longest_silence{};   ///< beyond what its subscription was granted; zero: none
    net::Steady dark_from = net::kNever;  ///< when what it has been granted is over

    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) override;
    void tick(net::Now now) override;
    net::Steady next_deadline() const override;
    std::vector<voice::Outgoing> take_outgoing() override { return transactions_.take_outgoing(); }

private:
    void drain();
    void on(const voice::TransactionEvent& event);
    int notified(const voice::Message& notify);
    void answered(const voice::Message& answer);
    void unanswered(voice::ClientId id);
    voice::Message begin(std::string_view method, const std::string& uri);
    void send(const voice::Message& message);
    bool names_dialog(const voice::Message& notify) const;

    World& world_;
    std::string user_;
    net::Endpoint at_, proxy_;
    voice::Transactions transactions_;
    std::uint32_t cseq_ = 0;
    std::map<voice::ClientId, voice::Message> sent_;
    voice::Message first_;
    voice::NameAddr remote_;
    voice::Uri target_;
    std::vector<voice::NameAddr> routes_;
    // keeping on
    std::string whom_;
    std::uint32_t wanted_s_ = 0;
    bool subscribed_ = false;
    bool lit_ = false;
    std::uint32_t remote_cseq_ = 0;
    std::string notifier_tag_;
    net::Steady subscribe_at_ = net::kNever, register_at_ = net::kNever;
};

}  // namespace test
