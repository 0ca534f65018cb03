/// What meshd nodes say to each other inside the tunnel: control frames.
///
///   u8 0x01 (a first nibble that is no IP version; format 1) | u8 type | u16 length of what follows | ... | padding
///
/// A frame fits one packet of IPv6's 1,280 bytes (of a path that takes less, fragments), is idempotent and may be lost. It goes only inside
/// a session, so its sender is known; what it says is checked all the same.
#pragma once

#include <array>
#include <variant>
#include <vector>

#include "mesh/record.hpp"
#include "net/address.hpp"

namespace mesh {

inline constexpr std::size_t kMaxFrameBytes = 1200;
inline constexpr std::size_t kMaxFrameBody = kMaxFrameBytes - 4;
/// Nobody gets back more than this many times what it sent; who asks for more pads its question.
inline constexpr std::size_t kReplyFactor = 4;
inline constexpr std::uint16_t kProtocolVersion = 1;

/// Sent from both sides after a handshake until the other has acknowledged it.
struct Hello {
    std::uint64_t nonce = 0;         ///< of the sender, new for each session
    std::uint64_t acknowledged = 0;  ///< the other's nonce, 0 if not heard
    std::uint16_t version = kProtocolVersion;
    std::uint32_t capabilities = 0;
    std::int64_t wall = 0;   ///< Unix seconds
    bool synchronised = false;  ///< the sender trusts its own clock
    bool answer_wanted = false;  ///< the sender has not been acknowledged yet
    net::Endpoint observed;  ///< where the sender sees the receiver
    std::uint64_t summary = 0;  ///< of the sender's roster
};
struct Ping {
    std::uint64_t token = 0;
    std::uint64_t summary = 0;  ///< of the sender's roster
    bool reply = false;
};
struct PathChallenge {
    std::uint64_t token = 0;
    bool reply = false;
    net::Endpoint observed = {};  ///< of a reply: where the challenge came from; none if that is no endpoint of UDP
};
/// Asks for a reply, which says that a packet of that size has come. Padding behind the frame makes the packet that large.
struct MtuProbe {
    std::uint64_t token = 0;
    std::uint16_t bytes = 0;
    bool reply = false;
};
/// Whether datagrams that leave in one send arrive like those that leave alone (canary.hpp).
struct TrainProbe {
    enum class Kind : std::uint8_t { train, alone, ask, counts };
    std::uint64_t token = 0;  ///< of the round
    Kind kind = Kind::train;
    std::uint8_t train = 0;   ///< train, alone: its place in the round; counts: how many of the train have come
    std::uint8_t alone = 0;   ///< counts: how many of the others
    bool operator==(const TrainProbe&) const = default;
};
/// The sender is going down: look for another way now.
struct Leaving {};
/// "Probe me at these now; I am probing you" (hole punching). Padded, so that what it makes its receiver send stays within
/// kReplyFactor times what came.
struct Punch {
    struct Candidate {
        net::Endpoint endpoint;
        std::uint8_t found = 0;  ///< a Found; what is not known counts as unsaid
    };
    std::vector<Candidate> candidates;  ///< at most kMaxPunch
    bool answer_wanted = false;         ///< the sender wants to know the receiver's
};
inline constexpr std::size_t kMaxPunch = 8;
/// Of birthday probing, between one whose NAT has another port toward each remote and one whose NAT lets in only ports that
/// it has sent to. guess: probe that address at random ports. open: send to this endpoint from sockets that you never
/// used. Padded to kMaxFrameBytes, which pays for kGuesses probes and the other's `open`, or for kOpened sockets' probes.
struct Birthday {
    enum class Kind : std::uint8_t { guess, open };
    Kind kind = Kind::guess;
    net::Endpoint at;  ///< IPv4; of guess the port says nothing
};
inline constexpr std::size_t kGuesses = 30, kOpened = 40;
/// A WireGuard message from one member to another, through a third. One hop: who gets it for somebody else passes it on to
/// him, inside the session with him, and to nobody but him.
struct Relayed {
    enum class Kind : std::uint8_t {
        pass_on,    ///< `member` is who it is for
        delivered,  ///< `member` is who it comes from
        no_way,     ///< there is no session with `member` here; without a message
    };
    Kind kind = Kind::pass_on;
    bool never_fragment = false;
    bool bulk = false;  ///< as Datagram::bulk: on a stream voice goes before it
    net::NodeKey member;
    net::Bytes message;
};
/// Of a Relayed frame that carries a message of so many bytes.
constexpr std::size_t relayed_bytes(std::size_t message_bytes) { return 4 + 1 + 32 + message_bytes; }
/// Sums over the 64 sub-ranges of the range of record ids that begins with `depth_bits` bits of `prefix`.
struct Digest {
    std::uint8_t depth_bits = 0;  ///< multiple of 6, at most 54
    std::uint64_t prefix = 0;     ///< in the top bits
    std::array<std::uint64_t, 64> sums{};
};
/// Everything the sender has in a range.
struct Inventory {
    struct Item {
        std::uint64_t key = 0;  ///< first 8 bytes of the record's key id
        std::uint64_t sequence = 0;
        std::uint32_t version = 0;  ///< first 4 bytes of the record's id
        std::uint16_t bytes = 0;
    };
    std::uint8_t depth_bits = 0;
    std::uint64_t prefix = 0;
    std::vector<Item> items;  ///< at most kMaxInventory
};
inline constexpr std::size_t kMaxInventory = 52;
/// Asks for records; padded by the sender so that kReplyFactor holds.
struct Want {
    std::vector<std::uint64_t> keys;
};
/// One or more whole records.
struct Records {
    std::vector<net::Bytes> wires;
};
/// A piece of a record that fits no frame.
struct RecordPart {
    std::uint64_t id = 0;  ///< first 8 bytes of the record's id
    std::uint8_t index = 0;
    std::uint8_t count = 0;
    net::Bytes bytes;
};
/// The newcomer's side of the join exchange (and what the member that it reached passes on to the issuer).
struct JoinRequest {
    std::uint64_t id = 0;  ///< chosen by the newcomer, or by the member that carries it
    net::NodeKey node_key;
    net::TunnelKey tunnel_key;
    Hash handshake;       ///< of the session it came in; what a member carries is checked against this one
    Signature signature;  ///< of node_key over mesh id, handshake, token key, and both keys
    net::TunnelKey invitation;
    net::NodeKey token_key;     ///< Ed25519 of the token, whose X25519 key is `invitation`
    Signature token_signature;  ///< of token_key over the same: a member that carries this holds no token
};
struct JoinReply {
    std::uint64_t id = 0;
    bool admitted = false;
    bool retry = false;  ///< not a refusal: the issuer cannot be reached now
    std::string reason;  ///< for the person who types `meshctl join`
    std::uint8_t index = 0;  ///< of the parts of an answer that fits no frame
    std::uint8_t count = 1;
    std::vector<net::Bytes> wires;
};

using Frame = std::variant<Hello, Ping, PathChallenge, Leaving, Digest, Inventory, Want, Records, RecordPart, JoinRequest,
                           JoinReply, MtuProbe, TrainProbe, Punch, Relayed, Birthday>;

/// The whole frame, at least `pad_to` bytes (within kMaxFrameBytes). The content must fit.
net::Bytes encode(const Frame& frame, std::size_t pad_to = 0);
/// Nullopt for anything that is not exactly one frame and its padding. Bounded: allocates no more than it was given.
std::optional<Frame> decode_frame(net::ByteView payload);
/// Whether a payload is a Relayed frame, which may be as large as the path takes.
bool is_relayed(net::ByteView payload);
/// What of a payload is the frame itself, if that is an MtuProbe or a TrainProbe: all else is padding. Empty if it is none.
net::MutableBytes probe_in(net::MutableBytes payload);
/// Whether a decrypted payload is a control frame rather than an IP packet.
inline bool is_control(net::ByteView payload) {
    if (payload.empty()) return false;
    const auto nibble = std::to_integer<unsigned>(payload.front()) >> 4;
    return nibble != 4 && nibble != 6;
}

/// Splits records into frames: as many whole ones as fit, and parts of those that fit none.
std::vector<Frame> frames_of(std::span<const net::ByteView> wires);
/// Space that records take in frames.
std::size_t bytes_in_frames(std::size_t record_bytes);

/// Puts parts together again; bounded, oldest unfinished one out first.
class Reassembly {
public:
    std::optional<net::Bytes> add(const RecordPart& part);

private:
    struct Open {
        std::uint64_t id = 0;
        std::uint8_t count = 0;
        std::vector<net::Bytes> parts;
    };
    static constexpr std::size_t kMaxOpen = 8;
    std::vector<Open> open_;
};

}  // namespace mesh
