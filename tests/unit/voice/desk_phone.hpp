/// A user agent with several lines, that does in a call what people do: hold, resume, transfer by REFER, take over by
/// Replaces; it answers by reliable provisionals (RFC 3262) and refreshes sessions (RFC 4028) where it is told to.
#pragma once

#include "voice/digest.hpp"
#include "voice/transaction.hpp"
#include "world.hpp"

namespace test {

class DeskPhone final : public Host {
public:
    DeskPhone(World& world, std::string user, net::Endpoint at, net::Endpoint proxy, std::string password = "secret");

    using LineId = std::size_t;  ///< in the order in which lines were taken
    using Headers = std::vector<std::pair<std::string, std::string>>;
    void register_now();
    LineId call(const std::string& uri, const Headers& headers = {});
    void cancel(LineId line, const std::string& reason = {});
    void pick_up(LineId line);
    void refuse(LineId line, int status, const Headers& headers = {});
    void hold(LineId line) { offer(line, "INVITE", "sendonly"); }
    void resume(LineId line) { offer(line, "INVITE", "sendrecv"); }
    /// An offer with that direction, in a re-INVITE or an UPDATE.
    void offer(LineId line, const std::string& method, const std::string& direction, const Headers& headers = {});
    void hang_up(LineId line);
    /// Any other request within the dialog.
    void send(LineId line, const std::string& method, const Headers& headers = {}, const std::string& body = {});
    void transfer(LineId line, const std::string& to);
    /// The other ends of two lines are connected: attended transfer. `to`: whom Refer-To names; empty: the second's Contact.
    void connect(LineId line, LineId second, const std::string& to = {});

    struct Told {
        net::Steady at;
        std::string method;  ///< of the request that was answered, or that came
        int status = 0;      ///< 0: a request
        voice::Message message;
    };
    std::vector<Told> history;
    std::size_t count(std::string_view method, int status = 0) const;
    int last(std::string_view method) const;  ///< last status to a request of ours
    const voice::Message* latest(std::string_view method, int status = 0) const;
    bool up(LineId line) const { return line < lines_.size() && lines_[line].up; }
    std::size_t lines_up() const;
    std::string heard_sdp;         ///< the other side's, last seen
    std::vector<std::string> progress;  ///< of a transfer, as NOTIFY told it: "SIP/2.0 200 OK"

    bool answers = true;                   ///< else it rings
    net::Duration answer_after = 500ms;
    int info_status = 200;                 ///< its answer to each INFO
    bool reliable = false;                 ///< rings by a reliable 183 with SDP, sent again until PRACK
    std::uint32_t session_expires_s = 0;   ///< of calls it places, if not 0
    std::string refresher = "uac";         ///< whom it asks to refresh them, as the caller sees it
    std::string refreshes_by = "UPDATE";   ///< or INVITE
    std::string spells_record_route = "Record-Route";
    net::Endpoint at;

    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) override;
    void tick(net::Now now) override;
    net::Steady next_deadline() const override;
    std::vector<voice::Outgoing> take_outgoing() override { return transactions_.take_outgoing(); }

private:
    struct Line {
        voice::NameAddr local, remote;
        voice::Uri target;
        std::vector<voice::NameAddr> routes;
        std::string call_id;
        std::string direction = "sendrecv";
        bool up = false;
        std::uint32_t invite_cseq = 0;
        std::string acknowledged;  ///< the To tag and RSeq that have had their PRACK
        voice::ClientId calling = 0;
        voice::ServerId ringing = 0;
        net::Steady answer_at = net::kNever;
        std::optional<voice::Message> again;  ///< a reliable 183 or a 200, until PRACK or ACK
        voice::ServerId again_to = 0;
        net::Steady again_at = net::kNever;
        net::Duration again_after{};
        std::optional<LineId> tells;     ///< the line whose other end wants to know how this one goes
        std::optional<LineId> replaces;  ///< ended once this one is up
        std::string session;  ///< Session-Expires, in seconds
        bool refreshes = false;
        net::Steady refresh_at = net::kNever, expires_at = net::kNever;
    };
    struct Sent {
        std::optional<LineId> line;
        bool tried_password = false;
    };
    void on(const voice::TransactionEvent& event);
    void request(const voice::RequestArrived& event);
    void invited(const voice::RequestArrived& event);
    void response(const voice::ResponseArrived& event);
    void dialog(LineId line, const voice::Message& message);
    void progressed(LineId line, int status);
    void answer(LineId line, int status, const Headers& headers = {});
    void repeat(LineId line, const voice::Message& message, voice::ServerId to);
    void session(LineId line, const voice::Message& answer, bool ours);
    void ended(LineId line);
    std::optional<LineId> line_of(const voice::Message& request) const;
    std::optional<LineId> replaced_by(const voice::Message& invite) const;
    voice::Message in_dialog(const Line& line, std::string_view method);
    void send(voice::Message message, std::optional<LineId> line, bool tried_password = false);
    voice::Flow flow() const { return {voice::Transport::udp, at, proxy_, 0, voice::Side::phone}; }
    voice::NameAddr contact() const { return voice::NameAddr::of(voice::Uri::of(user_, at)); }
    std::string sdp(const std::string& direction) const;
    void drain();

    World& world_;
    std::string user_;
    net::Endpoint proxy_;
    std::string password_;
    voice::Transactions transactions_;
    std::uint32_t cseq_ = 0;
    std::vector<Line> lines_;
    std::map<voice::ClientId, Sent> sent_;
};

}  // namespace test
