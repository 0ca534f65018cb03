/// The survivable proxy: stateful proxy (RFC 3261 section 16), registrar (section 10) and media anchor between the
/// phones of one office, the central server and the other offices' proxies. Passive: it is fed messages and time, and
/// what it wants sent, allocated and told is collected by its owner after each call.
#pragma once

#include <memory>
#include <variant>

#include "net/random.hpp"
#include "voice/call_history.hpp"
#include "voice/centre.hpp"
#include "voice/dial_plan.hpp"
#include "voice/digest.hpp"
#include "voice/location.hpp"
#include "voice/mailbox.hpp"
#include "voice/names.hpp"
#include "voice/trunk.hpp"

namespace voice {

class MediaPorts;

/// The central server, resolved. When its name gives another address the owner says so by Proxy::set_centre.
struct Centre {
    Transport transport = Transport::udp;
    net::Endpoint endpoint;
};

/// When a number or address that no user here has is looked for in DNS.
enum class OutsideUse : std::uint8_t {
    never,
    without_centre,  ///< while calls do not go through the centre
    always           ///< before the centre is asked
};

inline constexpr std::size_t kUsualMaxCalls = 2000;

struct ProxySettings {
    NodeId node;
    std::string domain;               ///< of addresses of record, lower case
    std::vector<net::Prefix> phones;  ///< who may be a phone
    std::optional<Centre> centre;     ///< none: this proxy is the registrar
    CentreTimes centre_times;
    std::chrono::seconds expires{120};
    std::chrono::seconds outage_expires{20};
    /// How long after the centre or a password vouched for a device its refresh is believed in an outage.
    std::chrono::seconds grace{std::chrono::hours(72)};
    /// What challenges of our own offer, the best first, each in a header field of its own (RFC 8760 section 2.4). MD5
    /// alone by default: of the phones in Debian baresip 1.0 and sipp 3.6 give up on a response that offers SHA-256 beside
    /// it, whatever the order. Who has but HA1 values of others is asked for those.
    std::vector<DigestAlgorithm> digests{DigestAlgorithm::md5};
    /// A call whose media has been silent both ways for so long is ended on both sides.
    std::chrono::seconds media_timeout{120};
    /// After an outage at most so many refreshes a second are passed on to the centre; the others are answered here, and
    /// come again soon.
    unsigned refreshes_per_second = 100;
    std::size_t max_bindings = 20000;
    std::size_t max_calls = kUsualMaxCalls;  ///< more are answered 503 with Retry-After
    /// Addresses of phones and servers that reach each other without us: media between two of them is left alone. Between
    /// all others, and by default, it is anchored here.
    std::vector<net::Prefix> direct_media;
    DialPlan dial_plan;
    NamesSettings names;
    OutsideUse outside = OutsideUse::without_centre;
    MailboxLimits mailbox;
    std::vector<TrunkSettings> trunks;   ///< at most kMaxTrunks
    std::vector<std::string> emergency;  ///< numbers that call for help, as they are dialled; none: there are no such calls
};

/// What the proxy asks of its surroundings.
class Environment {
public:
    virtual ~Environment() = default;
    /// Our own address and port as `remote` reaches it: the socket's, never a wildcard. For Side::mesh the overlay
    /// address, port 5080.
    virtual net::Endpoint local(const net::Endpoint& remote, Transport transport, Side side) const = 0;
    /// Our own overlay address; nullopt outside a mesh.
    virtual std::optional<net::IpAddress> overlay() const = 0;
    virtual MediaPorts& media() = 0;
    virtual const Directory& directory() const = 0;
};

/// Why a flow does not work. `unanswered` is a TCP connection that could not be opened in time.
enum class FlowFailure : std::uint8_t { unreachable /*ICMP*/, refused, reset, closed /*orderly*/, unanswered, insecure /*TLS*/ };

struct CallView {
    std::string id;  ///< Call-ID
    Aor from;
    Aor to;
    std::string state;  ///< "calling", "ringing", "up"
    std::string path;   ///< "central", "mesh", "local", "outside", "trunk"
    net::Now since;
    std::optional<net::Now> answered;
    std::string audio;  ///< what is wrong with its sound, in words; or empty
    std::vector<StreamFigures> streams;
};
struct CallStarted {
    CallView call;
};
struct CallEnded {
    CallView call;
    std::string why;
};
/// One side is not heard though it should be, as `call.audio` says; or is heard again, and that is empty.
struct AudioChanged {
    CallView call;
};
/// What is to be kept of a call, or, where there is no record, forgotten.
using CallRecorded = CallHistory::Change;
struct ModeChanged {
    std::string mode;  ///< "central", "busy", "island", "registrar", "checking"
    std::string why;
};
struct TrunkChanged {
    std::string name;
    bool up;
    std::string why;  ///< it is not
};
/// Another node wants our accounts of the calls that it carried with us: tell_accounts() answers.
struct AccountsAsked {
    std::uint64_t id = 0;
    NodeId by;
};
/// What ask_accounts() has brought; empty if that node keeps none.
struct AccountsTold {
    NodeId node;
    std::string text;
};
using ProxyEvent = std::variant<BindingChanged, CallStarted, CallEnded, AudioChanged, CallRecorded, AccountsAsked, AccountsTold, ModeChanged,
                                TrunkChanged>;

struct PhoneView {
    Aor aor;
    std::string contact;
    std::chrono::seconds expires;
};
struct VoiceView {
    std::string mode;
    std::string why;
    net::Now since;
    std::string elsewhere;     ///< while the centre is lost: whether other nodes reach it, in words; or empty
    std::string centre_state;  ///< as name_of(CentreMonitor::State), empty without a centre
    std::chrono::seconds hold_down{0};
};
struct TrunkView {
    std::string name;
    std::string server;
    std::string at;     ///< the endpoint that is in use; empty: none is known
    std::string state;  ///< "locating", "asking", "up" or "registered", "failing"
    std::string why;
    net::Now since;
    std::vector<std::string> prefixes;
    unsigned cost = 0;
    bool emergency = false;
    std::chrono::seconds registered_for{0};
};
/// A binding as text and wall time, for the state store.
struct SavedBinding {
    Aor aor;
    std::string contact;
    std::string token;
    Transport transport = Transport::udp;
    std::string path;  ///< as a Path header has it
    net::Endpoint phone;
    std::string call_id;
    std::uint32_t cseq = 0;
    net::Wall expires;
    net::Wall centre_expires;
    net::Wall confirmed;
};
/// Messages that were not acted upon, by reason, since the start.
struct ProxyCounters {
    std::uint64_t received = 0, malformed = 0, stranger = 0, forged = 0, overload = 0, stray = 0;
    std::uint64_t lamps = 0;  ///< NOTIFYs of the centre, passed on, whose dialogs there was no room to remember
    std::uint64_t shed = 0;  ///< answered 503 as there was too much, or no room for a transaction
    std::uint64_t no_media = 0;  ///< calls that were not passed on to somebody, as no port was left for the media
};

class Proxy {
public:
    /// `environment` and `random` outlive the proxy.
    Proxy(ProxySettings settings, Environment& environment, net::Random& random, net::Now now);
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    /// One whole message: a datagram, or what voice/stream.hpp cut from a TCP connection. `flow.side` need only tell
    /// mesh (the sockets on overlay addresses, port 5080) from the rest: the proxy knows the centre and the phones
    /// by address.
    void receive(const Flow& flow, net::ByteView bytes, net::Now now);
    /// Whether what comes by this flow is for us to judge; a stranger's messages are dropped unread. Asked before a
    /// connection is taken, lest strangers use up the room that phones need.
    bool listens_to(const Flow& flow) const;
    /// How many phones have registered from there, or had before we were restarted: so many connections are theirs by right.
    std::size_t phones_at(const net::IpAddress& address) const;
    /// The name that the far end's certificate must show where a connection by TLS is to be opened; empty: none is known.
    std::string tls_name(const Flow& flow) const;
    void flow_failed(const Flow& flow, FlowFailure why, net::Now now);
    /// So much waits to be read that it will be lost (see overload.hpp): until this is taken back, what begins something
    /// new is answered 503 with Retry-After.
    void set_overloaded(bool overloaded);
    /// The centre's name resolved anew.
    void set_centre(const Centre& centre, net::Now now);
    /// Which of the addresses that its name has now: the present one while it is listed and not lost, else the one behind
    /// it. So names whose addresses rotate move nobody from a centre that works. `listed` is not empty.
    net::IpAddress centre_among(const std::vector<net::IpAddress>& listed) const;
    void tick(net::Now now);
    net::Steady next_deadline() const;

    // --- DNS, for numbers and for SIP URIs of other domains
    /// To be asked by the owner, each of them answered once by one of the two.
    std::vector<DnsQuestion> take_questions();
    void dns_answered(const DnsQuestion& question, net::ByteView message, net::Now now);
    void dns_unanswered(const DnsQuestion& question, net::Now now);
    /// As those of Names.
    void restore_dns(const DnsQuestion& question, net::ByteView message, net::Wall came, net::Now now);
    std::vector<Names::Learnt> take_dns_learnt();
    /// For people who want to know what a call would do: take_looked_up() tells it. 0: too many at a time.
    NameQuery look_up(std::string e164, net::Now now);
    std::vector<NameFound> take_looked_up();
    const Names::Counters& name_counters() const;

    /// In order; for TCP with connection 0 the owner connects to flow.remote, and keeps the connection for later.
    std::vector<Outgoing> take_outgoing();
    std::vector<ProxyEvent> take_events();

    /// What to keep over a restart: the bindings of `aor` after each BindingChanged for it.
    std::vector<SavedBinding> saved(const Aor& aor, net::Now now) const;
    /// Once, after construction. Those that have expired are left out.
    void restore(const std::vector<SavedBinding>& bindings, net::Now now);
    /// Once, after construction: what CallRecorded told when we last lived. Calls that were up have ended by then.
    void restore_calls(std::vector<CallRecord> records, net::Now now);

    /// Messages that wait for their recipients: to be written, and told of by mail_stored(). The names begin with
    /// Mailbox::kKept or kDelivered, and what was written under them goes to restore_mail(), once, after construction.
    std::optional<MailBatch> take_mail();
    void mail_stored(std::uint64_t batch, net::Now now);
    void restore_mail(const std::map<std::string, net::Bytes>& values, net::Now now);
    std::vector<MailView> mail() const;
    std::size_t subscriptions() const;  ///< that are served here, not by the centre
    std::size_t centre_subscriptions() const;  ///< of the centre's, those that are remembered for when it dies
    /// As those of CentreLamps.
    std::map<std::string, net::Bytes> take_lamps();
    void restore_lamps(const std::map<std::string, net::Bytes>& values, net::Now now);

    std::vector<PhoneView> phones(net::Now now) const;
    std::vector<CallView> calls() const;
    const CallHistory& call_history() const;
    /// False: that node is not reached over the mesh now. Else AccountsTold follows, if it answers.
    bool ask_accounts(const NodeId& node, net::Now now);
    /// At most 60,000 bytes.
    void tell_accounts(std::uint64_t id, std::string text, net::Now now);
    VoiceView voice() const;
    std::vector<TrunkView> trunks(net::Now now) const;
    /// What other offices may use of them now.
    std::vector<TrunkOffer> trunk_offers() const;
    ProxyCounters counters() const;
    /// Transactions that there are now, of both sides.
    std::size_t transactions() const;
    /// Of these, those of INVITEs, and the requests that are being passed on: both are gone 40 s after the last call.
    std::size_t invite_transactions() const;
    std::size_t forks() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace voice
