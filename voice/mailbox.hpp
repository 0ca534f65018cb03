/// Messages (RFC 3428) for people who have no phone anywhere just now. They are on the disk before anybody is told that
/// they wait; each is handed out in the order in which it came, until it is taken out, or expires.
///
/// Passive: what is to be written is collected as named values (empty: to be deleted), and the owner tells when they are
/// safe. The names begin with kKept and kDelivered; what the store gives back at start goes to restore().
#pragma once

#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include <tl/expected.hpp>

#include "net/time.hpp"
#include "voice/directory.hpp"
#include "voice/message.hpp"

namespace voice {

struct MailboxLimits {
    std::size_t per_callee = 100;
    std::size_t per_caller = 200;
    std::size_t all = 5000;
    std::size_t all_bytes = 16 << 20;
    std::size_t message_bytes = 8192;
    std::chrono::seconds keep = std::chrono::hours(7 * 24);  ///< the longest, whatever Expires says
    std::size_t delivered = 4096;                            ///< of how many it is known that a phone has had them
};

/// To be written in one go.
struct MailBatch {
    std::uint64_t id = 0;
    std::map<std::string, net::Bytes> values;
    bool sync = false;  ///< somebody waits until it is on the disk: say so by Mailbox::stored
};

struct KeptMessage {
    std::uint64_t id = 0;  ///< larger than that of every earlier one
    Aor caller;
    Aor callee;
    net::Wall received;
    net::Wall expires;
    Message message;  ///< as it came, Vias and all
};

struct MailView {
    Aor callee;
    std::size_t count = 0;
    net::Wall oldest;
};

class Mailbox {
public:
    static constexpr std::string_view kKept = "message/";
    static constexpr std::string_view kDelivered = "delivered/";
    enum class Refusal : std::uint8_t { callee_full, caller_full, full, too_large, expired };

    explicit Mailbox(const MailboxLimits& limits) : limits_(limits) {}

    /// Its id. Nobody may be told that it is kept until stored() says so.
    tl::expected<std::uint64_t, Refusal> put(const Message& message, const Aor& caller, const Aor& callee, net::Now now);
    void remove(std::uint64_t id);
    void expire(net::Wall now);

    const KeptMessage* find(std::uint64_t id) const;
    /// Of those for `callee` that are on the disk the oldest; null if there is none.
    const KeptMessage* first(const Aor& callee) const;
    bool has(const Aor& caller, const Aor& callee) const;
    /// Everybody for whom something waits, in order, beginning behind `after`: at most so many.
    std::vector<Aor> callees(const Aor& after, std::size_t most) const;
    std::size_t size() const { return messages_.size(); }
    std::size_t waiting(const Aor& callee) const;
    std::vector<MailView> views() const;
    /// For whom more or fewer wait since the last time.
    std::set<Aor> take_changed() { return std::exchange(changed_, {}); }

    /// What a phone here has accepted, known by its sender's Call-ID, tag and CSeq: whoever sends it again is not to
    /// disturb anybody. `lasting` outlives a restart. What the centre brings is noted apart.
    void note_delivered(const Message& message, bool by_centre, bool lasting, net::Now now);
    bool was_delivered(const Message& message, bool by_centre, net::Now now) const;
    /// What tells one MESSAGE from all others, whatever way it comes.
    static std::string delivery_of(const Message& message, bool by_centre);

    std::optional<MailBatch> take_batch();
    /// All batches up to this one are on the disk. Gives the messages that are kept since.
    std::vector<std::uint64_t> stored(std::uint64_t batch);
    /// Once, before anything else. What cannot be read is left out and deleted.
    void restore(const std::map<std::string, net::Bytes>& values, net::Now now);

private:
    struct Kept {
        KeptMessage what;
        std::size_t bytes = 0;
        std::uint64_t batch = 0;  ///< that has it; 0: on the disk
    };
    void add(Kept kept);
    void write(const std::string& name, net::Bytes value, bool sync);
    void remember(const std::string& name, net::Wall until);

    MailboxLimits limits_;
    std::map<std::uint64_t, Kept> messages_;
    std::map<Aor, std::deque<std::uint64_t>> by_callee_;
    std::unordered_map<Aor, std::size_t> by_caller_;
    std::set<std::pair<net::Wall, std::uint64_t>> by_expiry_;
    std::unordered_map<std::string, net::Wall> delivered_;
    std::deque<std::string> delivered_order_;
    std::set<Aor> changed_;
    std::size_t bytes_ = 0;
    std::uint64_t last_id_ = 0;
    MailBatch batch_{1, {}, false};
};

}  // namespace voice
