/// A plain SIP user agent over UDP: registers, calls, rings, answers, hangs up. It knows nothing of meshd but the
/// address of its outbound proxy, and keeps a history of all it was told.
#pragma once

#include "voice/digest.hpp"
#include "voice/transaction.hpp"
#include "world.hpp"

namespace test {

class Phone final : public Host {
public:
    /// What it does with a call that comes in.
    enum class Manner { answers, rings, busy, declines, is_overloaded, is_silent };

    Phone(World& world, std::string user, net::Endpoint at, net::Endpoint proxy, std::string password = "secret");

    void register_now(std::uint32_t expires_s = 3600);
    void unregister() { register_now(0); }
    /// Refreshes by itself when two thirds of what it was granted are over.
    bool keeps_registered = true;
    int message_status = 200;   ///< to each MESSAGE; 0: it says nothing to it
    /// Starts a call; the history tells how it goes.
    void call(const std::string& uri);
    void cancel();
    void hang_up();
    void reinvite() { send_in_dialog("INVITE"); }
    /// With its SDP, and as `dress` leaves it.
    void send_in_dialog(std::string_view method);
    void send_early();  ///< 183 with SDP for what rings; requests in its dialog may follow
    void pick_up();  ///< what rings
    void fail(int status);
    void send(std::string_view method, const std::string& uri, std::string body = {});

    struct Told {
        net::Steady at;
        std::string method;  ///< of the request that was answered, or that came
        int status = 0;      ///< 0: a request
        voice::Message message;
    };
    std::vector<Told> history;
    int last(std::string_view method) const;  ///< last status to a request of ours
    std::optional<net::Steady> first(std::string_view method, int status) const;
    std::size_t count(std::string_view method, int status = 0) const;
    bool in_call() const { return dialog_.has_value(); }
    std::string heard_sdp;  ///< the other side's, last seen

    Manner manner = Manner::answers;
    net::Duration answer_after = 500ms;
    std::string media = "audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";  ///< m-line, and what stands below it
    std::function<void(voice::Message&)> dress;  ///< last touch to INVITEs, what is in their dialogs, and answers to them
    bool answers_early_media = false;  ///< a PRACK with SDP for each 183
    std::string from_user;  ///< claims to be this one
    std::string domain = "acme.example";
    bool takes_topmost = false;  ///< of several challenges the first, as RFC 8760 has it; or the last
    net::Endpoint at;
    std::string contact_user;
    std::uint32_t granted_s = 0;

    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) override;
    void tick(net::Now now) override;
    net::Steady next_deadline() const override;
    std::vector<voice::Outgoing> take_outgoing() override { return transactions_.take_outgoing(); }

private:
    struct Dialog {
        voice::NameAddr local, remote;
        voice::Uri target;
        std::vector<voice::NameAddr> routes;
        std::string call_id;
    };
    void on(const voice::TransactionEvent& event);
    void request(const voice::RequestArrived& event);
    void response(const voice::ResponseArrived& event);
    void answer(int status);
    void ack(const voice::Message& answer);
    voice::Message in_dialog(std::string_view method);
    voice::Message begin(std::string_view method, const voice::Uri& uri);
    voice::ClientId send(voice::Message message);
    voice::Flow flow() const { return {voice::Transport::udp, at, proxy_, 0, voice::Side::phone}; }
    std::string sdp() const;
    void drain();

    World& world_;
    std::string user_;
    net::Endpoint proxy_;
    std::string password_;
    voice::Transactions transactions_;
    std::string tag_, register_id_;
    std::uint32_t cseq_ = 0;
    std::optional<Dialog> dialog_;
    voice::ClientId calling_ = 0;
    voice::ServerId ringing_ = 0;
    net::Steady answer_at_ = net::kNever;
    std::optional<voice::Message> unacknowledged_;  ///< a 200 that is sent again until ACK (RFC 3261 13.3.1.4)
    voice::ServerId answered_ = 0;
    net::Steady resend_at_ = net::kNever;
    net::Duration resend_after_{};
    net::Steady refresh_at_ = net::kNever;
    bool tried_password_ = false;
    std::string shown_;  ///< the Proxy-Authorization that was last asked for: it stands in the dialog's requests too
    std::uint32_t wanted_expires_s_ = 3600;
};

}  // namespace test
