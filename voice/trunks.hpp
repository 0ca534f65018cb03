/// The trunks of this office, and where numbers go by these and by other offices'.
///
///   locating --its name leads somewhere--> asking --answer to OPTIONS; 200 to REGISTER--> up
///   up --silence, 503, a refused REGISTER--> failing --after a while, at the next of its addresses--> asking
///
/// Each is asked by OPTIONS every kAskEvery; one that registers sends REGISTER when two thirds of what it was granted are
/// over. A call that it does not answer, or answers 503, makes it failing too. One that is failing is tried last.
#pragma once

#include "voice/call.hpp"
#include "voice/lookup.hpp"

namespace voice {

/// The parameter of a Request-URI by which one office asks another for a call by its trunk of that name.
inline constexpr std::string_view kTrunkParam = "meshd-trunk";
/// By it an office tells another that a call has come in by a trunk: the caller is none of the mesh.
inline constexpr std::string_view kFromTrunk = "X-Meshd-From-Trunk";

class Trunks {
public:
    static constexpr auto kAskEvery = std::chrono::seconds(30);
    static constexpr auto kAnswerWithin = std::chrono::seconds(4);
    static constexpr auto kRetryFirst = std::chrono::seconds(5);  ///< doubles up to the next
    static constexpr auto kRetryMost = std::chrono::minutes(2);
    static constexpr auto kLocateEvery = std::chrono::minutes(5);
    static constexpr std::uint32_t kRegisterFor_s = 600;
    static constexpr std::size_t kMaxServers = 4;  ///< addresses of one trunk that are used

    explicit Trunks(Exchange& exchange);
    ~Trunks();

    void tick(net::Now now);
    net::Steady next_deadline() const;
    // What was asked for here. False: it was somebody else.
    bool found(const NameFound& found, net::Now now);
    bool response(const ResponseArrived& event, net::Now now);
    bool failed(ClientId id, std::string_view why, net::Now now);

    /// Where a number goes, the best first: the longest prefix, then the least cost, then this office's, then the nearest.
    std::vector<Target> ways(std::string_view number) const;
    /// The same by this office's trunks alone, `name` before the others.
    std::vector<Target> own_ways(std::string_view number, std::string_view name) const;
    /// Where a call for help goes: by this office's trunks, then by those of others.
    std::vector<Target> help(std::string_view number) const;
    std::vector<Target> own_help(std::string_view number) const;

    /// What a call's answer tells of the trunk that it went by; 408 and 503 made here too.
    void judge(const Branch& branch, int status, net::Now now);
    /// The same place once more, with the credentials that its refusal asks for; nullopt: there are none, or they were
    /// refused.
    std::optional<Target> again(const Branch& branch, const Message& refusal);
    /// The last shape of a call's first request to a gateway: who calls, as `believed` or not, and credentials.
    void dress(Call& call, const Target& target, const Aor& caller, bool believed, Message& request) const;
    /// A request within such a call, toward its gateway (`target` is it) or from there.
    static void dress(const Call& call, const Target& target, Message& request);
    /// A response to a request that was dressed: everything as the requester wrote it.
    static void undress(const Message& request, Message& response);

    std::vector<TrunkView> views(net::Now now) const;
    std::vector<TrunkOffer> offers() const;

private:
    enum class State : std::uint8_t { locating, asking, up, failing };
    struct Trunk;
    void locate(Trunk& trunk, net::Now now);
    void ask(Trunk& trunk, net::Now now);
    void answered(Trunk& trunk, const Message& response, net::Now now);
    void registered(Trunk& trunk, const Message& response, net::Now now);
    void good(Trunk& trunk, net::Now now);
    void fail(Trunk& trunk, std::string why, net::Now now);
    void tell(const Trunk& trunk);
    std::vector<Target> by_own(const Trunk& trunk, const std::string& user, GiveWay gives_way) const;
    Target by_other(const RemoteTrunk& other, std::string_view number) const;
    const Trunk* find(std::string_view name) const;
    std::optional<std::pair<std::string, std::string>> proof(const Trunk& trunk, const Message& refusal, std::string_view method,
                                                             const Uri& uri) const;

    Exchange& exchange_;
    std::vector<std::unique_ptr<Trunk>> trunks_;
};

}  // namespace voice
