/// MESSAGE (RFC 3428, page mode) whose callee has no phone that takes it, where the centre is no help: kept, answered
/// 202 once it is on the disk, and delivered when a phone of the callee's comes up anywhere in the mesh.
///
///   phone --MESSAGE--> meshd --> phones, nodes: 200 or a refusal of theirs goes back
///                        |'- nobody there, or nothing said in 4 s: Mailbox -> 202
///                        '-- later, one at a time for each callee: MESSAGE --> phones here, node --> its phones
///
/// Once: whoever delivers remembers what a phone has accepted, and answers 200 to what comes a second time. In order: what
/// comes while something of the same sender waits for the same callee is kept behind it.
#pragma once

#include "voice/credentials.hpp"
#include "voice/lookup.hpp"
#include "voice/mailbox.hpp"

namespace voice {

/// Marks a MESSAGE that one meshd has kept and sends to another.
inline constexpr std::string_view kKeptHeader = "X-Meshd-Kept";

class Pager {
public:
    Pager(Exchange& exchange, Forking& forking, const Credentials& credentials)
        : exchange_(exchange), forking_(forking), credentials_(credentials), lookup_(exchange), mailbox_(exchange.settings.mailbox) {}

    // --- a phone's MESSAGE, which it may send
    /// True if it has been kept, behind others of its sender, or refused for want of room.
    bool queued(const RequestArrived& event, const Aor& caller, const Aor& callee, net::Now now);
    /// It is on its way to phones and nodes: if they say nothing it is kept.
    void sent(ServerId id, net::Now now) { patience_.emplace_back(now.steady + kPatience, id); }
    /// All that it came to is `status`. True if it is answered here: now, or once it is on the disk.
    bool refused(const Fork& fork, int status, net::Now now);
    /// What was sent has its final answer: a phone's, if it is 2xx.
    void ended(const Fork& fork, int status, net::Now now);

    // --- a MESSAGE from elsewhere for a phone here
    /// The answer, if it is not to be delivered (again).
    std::optional<int> known(const Message& message, Side from, net::Now now) const;
    /// It is on its way to phones here: its end will be told by ended().
    void arriving(const Message& message, Side from) { arriving_.insert(Mailbox::delivery_of(message, from == Side::centre)); }

    // --- what is kept
    /// True if the transaction is one of ours.
    bool response(ClientId id, int status, net::Now now);
    /// A phone of this user has registered here.
    void registered(const Aor& aor, net::Now now);
    void stored(std::uint64_t batch, net::Now now);
    void restore(const std::map<std::string, net::Bytes>& values, net::Now now);
    std::optional<MailBatch> take_batch() { return mailbox_.take_batch(); }
    const Mailbox& mailbox() const { return mailbox_; }
    std::set<Aor> take_mail_changed() { return mailbox_.take_changed(); }

    void tick(net::Now now);
    net::Steady next_deadline() const;

private:
    struct Unanswered {
        std::uint64_t message = 0;
        net::Steady until;
    };
    /// Somebody for whom something waits, who is there.
    struct Attempt {
        std::uint64_t message = 0;
        std::vector<ClientId> clients;  ///< not answered yet
        bool hopeful = false;           ///< some target said what may be otherwise later
    };
    struct Callee {
        std::optional<Attempt> attempt;
        std::string where;  ///< he was when last looked
        net::Duration wait{};
        net::Steady next_try;
    };
    /// Answers if there is no room, unless `quietly`; false then.
    bool keep(ServerId id, const Message& request, const Aor& caller, const Aor& callee, bool quietly, net::Now now);
    bool keep(const Fork& fork, bool quietly, net::Now now);
    /// Whether a MESSAGE may be kept here, and was not the centre's to refuse.
    bool may_keep(const Fork& fork) const;
    void forget(std::uint64_t message);
    void look(net::Now now);
    void give_up_storing(net::Now now);
    void look_for(const Aor& aor, net::Now now);
    void send(const Aor& aor, Callee& callee, const std::vector<Target>& targets, net::Now now);
    void over(const Aor& aor, Callee& callee, int status, net::Now now);

    static constexpr auto kPatience = std::chrono::seconds(4);

    Exchange& exchange_;
    Forking& forking_;
    const Credentials& credentials_;
    Lookup lookup_;
    Mailbox mailbox_;
    std::deque<std::pair<net::Steady, ServerId>> patience_;  ///< may name what is over
    std::unordered_map<ServerId, Unanswered> unanswered_;  ///< until they are on the disk
    std::unordered_map<ServerId, std::uint64_t> under_way_;  ///< kept, but a phone may yet answer what was sent
    std::set<std::uint64_t> held_;                           ///< the same messages
    std::unordered_map<ClientId, Aor> client_of_;
    std::map<Aor, Callee> callees_;
    std::multiset<std::string> arriving_;  ///< Mailbox::delivery_of
    Aor looked_at_;
    net::Steady next_look_ = net::kNever;
};

}  // namespace voice
