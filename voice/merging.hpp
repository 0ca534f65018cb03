/// One call that reaches the callee's office twice: through the centre and, as the caller's second branch, through the
/// mesh. Told apart from two calls by (caller, callee), for a centre that is a B2BUA changes Call-ID and tags.
///
///   mesh first, then centre   hold the centre's INVITE up to 2 s until the caller's meshd has cancelled it; then let
///   it
///                             through as a second call
///   centre first, then mesh   refuse the mesh's with 482; adopt it where the centre does not answer any more
#pragma once

#include <unordered_map>

#include "voice/exchange.hpp"
#include "voice/invite_index.hpp"

namespace voice {

/// The header by which a second branch announces itself: "CALLER CALLEE CALL-ID", and kCentreLost where the caller's
/// meshd has given the centre up.
inline constexpr std::string_view kSecondBranch = "X-Meshd-Second-Branch";
inline constexpr const char* kCentreLost = ";centre-lost";

class Merging {
public:
    enum class Verdict : std::uint8_t { deliver, hold, refuse, adopt };
    struct Judgement {
        Verdict verdict = Verdict::deliver;
        ServerId other = 0;  ///< the delivery that it is the same as
        bool same = false;   ///< to the Call-ID, tag and CSeq: no B2BUA lies between
    };

    /// An INVITE that came by `side`; `second`: it is announced as a second branch.
    Judgement judge(const Message& invite, const Aor& caller, const Aor& callee, Side side, bool second,
                    bool centre_doubtful) const;
    /// It is being delivered to phones here.
    void deliver(ServerId id, const Message& invite, const Aor& caller, const Aor& callee, Side side, bool second);
    /// The deliveries of this very INVITE that the centre has brought, one for each phone, and that have not ended;
    /// `answered`: or by an answer.
    std::vector<ServerId> copies(const Message& invite, const Aor& caller, const Aor& callee, bool answered) const;
    /// The deliveries of a call that the centre has brought, and that ring still. `any`: else of one call of that pair, for
    /// a B2BUA that is dead will not bring its end.
    std::vector<ServerId> ringing(const Message& withdrawal, const Aor& caller, const Aor& callee, bool any) const;
    void ended(ServerId id, bool answered, net::Now now);
    void tick(net::Now now);

    static constexpr auto kHold = std::chrono::seconds(2);
    /// How long after its answer, or its end, a second branch is remembered: the centre may wake up late.
    static constexpr auto kRememberAnswered = std::chrono::minutes(5);
    static constexpr auto kRememberEnded = std::chrono::seconds(10);

private:
    struct Delivery {
        ServerId id = 0;
        std::string pair;
        std::string invite;  ///< as InviteIndex::name_of()
        Side side = Side::phone;
        bool second = false;
        std::optional<net::Steady> until;  ///< ended, and still counts so long
        bool answered = false;
    };
    static std::string pair_of(const Aor& caller, const Aor& callee) { return caller + '\n' + callee; }
    /// The centre's of that pair that have not ended, or by an answer, and whose name is, or begins with, `name`.
    std::vector<ServerId> copies(const std::string& pair, std::string_view name, bool answered) const;

    std::unordered_map<ServerId, Delivery> by_id_;
    std::unordered_multimap<std::string, ServerId> by_pair_;
    net::Steady next_sweep_;
};

}  // namespace voice
