/// A central SIP server as Kamailio is usually set up: registrar with passwords, record-routing proxy; or a B2BUA that
/// changes Call-ID and From tag. It can die, fall asleep and wake up late, or fail behind a living front.
#pragma once

#include "bridge.hpp"
#include "voice/digest.hpp"
#include "voice/transaction.hpp"
#include "world.hpp"

namespace test {

class ScriptedCentre final : public Host {
public:
    ScriptedCentre(World& world, net::Endpoint at);

    bool alive = true;    ///< false: hears nothing, says nothing
    bool asleep = false;  ///< hears, and deals with it once it is awake again
    bool b2bua = false;         ///< changes Call-ID and From tag, and else is a proxy
    bool back_to_back = false;  ///< a whole B2BUA
    bool bounces = false;                          ///< sends every INVITE back where it came from
    std::optional<net::Endpoint> sees;             ///< writes into every Contact where it believes the phone is (NAT)
    bool swallows = false;                         ///< a front without a back end: answers OPTIONS, nothing else
    int invite_status = 0;                         ///< answers every INVITE so
    int message_status = 0;                        ///< answers every MESSAGE so
    int subscribe_status = 0;                      ///< answers every SUBSCRIBE so, 200 with a dialog of its own
    /// Serves SUBSCRIBEs, refreshes too: what the lamp for a user shows.
    std::function<std::string(const std::string& user)> lamp;
    int register_status = 0;                       ///< answers every REGISTER so
    std::uint32_t retry_after_s = 0;               ///< stands in these answers, unless 0
    unsigned refused = 0;                          ///< so answered
    std::map<std::string, std::string> passwords;  ///< by user; those without are not asked
    std::uint32_t grants_s = 3600;
    unsigned registrations = 0;  ///< that it accepted
    unsigned probes = 0;         ///< OPTIONS about itself

    void wake();
    /// Restarted without a database.
    void forget() {
        contacts_.clear();
        watchers_.clear();
    }
    /// Those whose lamps would show something else by now, or all, by NOTIFY.
    void tell_lamps(bool all = false);
    /// One of them is gone.
    void forget_lamp() { watchers_.erase(watchers_.begin()); }
    unsigned out_of_order = 0;  ///< SUBSCRIBEs whose number was not above the last in their dialog, and so refused
    std::size_t watchers() const { return watchers_.size(); }
    std::map<int, unsigned> notified;  ///< how often its NOTIFYs were answered so
    std::vector<std::string> contacts(const std::string& user) const;
    void add_contact(const std::string& user, const std::string& uri);

    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) override;
    void tick(net::Now now) override;
    net::Steady next_deadline() const override { return transactions_.next_deadline(); }
    std::vector<voice::Outgoing> take_outgoing() override;

    const net::Endpoint at;

private:
    struct Watcher {
        voice::Message subscribe;
        std::uint32_t cseq = 0;
        std::string told;
        net::Steady expires;
        std::uint32_t remote_cseq = 0;
    };
    void subscription(const voice::RequestArrived& event);
    void tell(const std::string& tag, Watcher& watcher);
    void drain();
    /// All probes are alike: the first is read as any request is, the others, which fill a day, by their lines alone.
    bool answer_probe(const voice::Flow& flow, std::string_view text);
    void request(const voice::RequestArrived& event);
    void refuse(const voice::RequestArrived& event, int status);
    void registration(const voice::RequestArrived& event);
    void forward(const voice::RequestArrived& event);
    void response(const voice::ResponseArrived& event);
    bool challenged(const voice::RequestArrived& event, int status);
    voice::Flow flow_to(const net::Endpoint& to) const {
        return {voice::Transport::udp, at, to, 0, voice::Side::phone};
    }

    World& world_;
    voice::Transactions transactions_;

public:
    Bridge bridge;

private:
    voice::DigestServer digest_;
    std::map<std::string, std::vector<voice::NameAddr>> contacts_;
    std::map<voice::ClientId, voice::ServerId> server_of_;
    std::map<voice::ServerId, std::vector<voice::ClientId>> clients_of_;
    std::map<std::string, Watcher> watchers_;  ///< by its own tag
    std::map<voice::ClientId, std::string> notify_of_;
    std::set<voice::ClientId> finished_;
    std::map<voice::ServerId, std::size_t> pending_;  ///< branches without a final response
    std::vector<std::pair<voice::Flow, net::Bytes>> slept_through_;
};

}  // namespace test
