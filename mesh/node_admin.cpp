// What a node signs about itself, and what admins sign about the mesh: its making, invitations, stock peers, revocation.
#include <algorithm>

#include "mesh/node.hpp"
#include "net/text.hpp"

namespace mesh {
namespace {

constexpr std::string_view kVoiceKeyDomain = "meshd voice key 1";
constexpr auto kNodeRecordEvery = std::chrono::seconds(5);
constexpr std::size_t kMaxEndpoints = 12;

std::uint64_t milliseconds(net::Wall at) {
    const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
    return count < 0 ? 0 : static_cast<std::uint64_t>(count);
}

/// An IPv4 address of the pool, by the key; the next free one if it is taken. None if the pool is full.
net::IpAddress pool_address(const net::Prefix& pool, net::ByteView key, const std::set<net::IpAddress>& taken) {
    const std::uint32_t size = std::uint32_t{1} << (32 - pool.length());
    const auto hash = net::Reader(blake2s({net::as_bytes("meshd pool 1"), key}).view()).u32be();
    for (std::uint32_t i = 0; i < std::min<std::uint32_t>(size - 2, 1 << 16); ++i) {
        const auto host = 1 + static_cast<std::uint32_t>((std::uint64_t{hash} + i) % (size - 2));  // no net, no broadcast
        const auto address = net::IpAddress::v4(pool.address().v4_host_order() + host);
        if (!taken.contains(address)) return address;
    }
    return {};
}

net::Error no_admin() { return {"this node is no admin of the mesh: run this where the mesh was made, or on an admin node"}; }

}  // namespace

net::Result<CreatedMesh> Node::create_mesh(const CreateMesh& wish, net::Random& random, net::Now now) {
    const auto bad_name = [](const std::string& name) {
        return net::fail("\"" + name + "\" is no name: use a-z, 0-9 and -, at most 63, no dash at either end");
    };
    if (!is_node_name(wish.mesh)) return bad_name(wish.mesh);
    if (!is_node_name(wish.node)) return bad_name(wish.node);
    if (!wish.pool.address().is_v4() || wish.pool.length() < 8 || wish.pool.length() > 24)
        return net::fail("the pool must be an IPv4 prefix of /8 to /24, such as 10.73.0.0/16");
    for (const auto& subnet : wish.subnets)
        if (subnet.overlaps(wish.pool)) return net::fail("the subnet " + subnet.text() + " overlaps the pool " + wish.pool.text());
    CreatedMesh out;
    auto& identity = out.identity;
    identity.root_secret = make_node_secret(random);
    identity.node_secret = make_node_secret(random);
    identity.tunnel_secret = make_tunnel_secret(random);
    identity.mesh_id = public_key(*identity.root_secret);
    identity.mesh_name = wish.mesh;
    const auto key = public_key(identity.node_secret);
    Member member;
    member.name = wish.node;
    member.tunnel_key = public_key(identity.tunnel_secret);
    member.addresses = {overlay_address(identity.mesh_id, key.view()), pool_address(wish.pool, key.view(), {})};
    member.subnets = wish.subnets;
    member.roles = Roles{}.with(Role::admin).with(Role::relay).with(Role::voice);
    if (wish.exit) member.roles = member.roles.with(Role::exit);
    member.valid_from = net::unix_seconds(now.wall);
    MeshPolicy policy{wish.mesh, wish.pool, {}};
    random.fill(policy.discovery_key.bytes);
    VoiceKey voice_key;
    random.fill(voice_key.fill());
    SealedVoiceKey sealed{random.u64() | 1, seal(member.tunnel_key, kVoiceKeyDomain, voice_key.view(), random)};
    const auto put = [&](RecordType type, std::string subject, const Body& body) {
        out.records.push_back(
            sign_record(identity.mesh_id, *identity.root_secret, type, std::move(subject), 1, encode(body)).wire);
    };
    put(RecordType::member, as_subject(key.view()), member);
    put(RecordType::policy, std::string(kMeshPolicy), policy);
    put(RecordType::policy, std::string(kVoiceKeyPolicy) + as_subject(key.view()), sealed);
    return out;
}

// Signing.

net::Result<void> Node::may_administer() const {
    if (!is_admin()) return tl::unexpected<net::Error>(no_admin());
    return {};
}

/// Under the node's own key, which an admin's member record vouches for; what only the root may say, under the root's.
/// `without`: an admin that is being put out, with all it has signed.
Record Node::sign_as_admin(RecordType type, std::string subject, const Body& body, bool as_root,
                           const net::NodeKey* without) const {
    const bool root = identity_.root_secret && (as_root || !view().admins.contains(key_));
    const auto sequence = roster_.next_sequence(type, subject, without);
    return sign_record(identity_.mesh_id, root ? *identity_.root_secret : identity_.node_secret, type, std::move(subject),
                       sequence, encode(body));
}

/// Takes records signed here into the roster. They spread once they are stored.
net::Result<void> Node::adopt(std::vector<Record> records, net::Now now) {
    auto farewell = farewells(records, now);
    std::vector<net::Bytes> wires;
    for (auto& record : records) wires.push_back(record.wire);
    const auto added = roster_.add_all(wires);
    drain(now);
    for (std::size_t i = 0; i < added.size(); ++i) {
        if (added[i].refused) return net::fail("the mesh would not take it: " + std::string(text(*added[i].refused)));
        held_pushes_.emplace_back(awaited_batch(), records[i].key);
    }
    for (auto& datagram : farewell) held_farewells_.emplace_back(awaited_batch(), std::move(datagram));
    return {};
}

/// Tells who is being put out, in the session that ends with it: nobody would talk to it afterwards, and it would go on
/// asking without knowing why. It leaves, like all of this, once it is stored.
std::vector<Datagram> Node::farewells(const std::vector<Record>& records, net::Now now) {
    std::vector<Datagram> out;
    for (const auto& record : records) {
        const auto about = record.key.type == RecordType::revocation ? node_key(record.key.subject) : std::nullopt;
        const auto* peer = about ? link(*about) : nullptr;
        if (peer == nullptr || peer->state != PeerLink::State::up || peer->stock) continue;
        drain(now);
        send(*peer, Records{{record.wire}}, now);
        for (auto& datagram : wireguard_.take_datagrams()) out.push_back(std::move(datagram));
    }
    return out;
}

/// A record of this node about itself: spreads at once.
void Node::publish(Record record, net::Now now) {
    const auto added = roster_.add_own(std::move(record));
    if (!added.changed) return;
    gossip_.push(std::span(&added.key, 1));
    drain(now);
}

NodeInfo Node::own_info() const {
    NodeInfo info;
    info.capabilities = static_cast<std::uint32_t>(Capability::control) | static_cast<std::uint32_t>(Capability::mtu_probe) |
                        static_cast<std::uint32_t>(Capability::train_probe) | static_cast<std::uint32_t>(Capability::queues) |
                        static_cast<std::uint32_t>(Capability::relays);
    if (settings_.aes) info.capabilities |= static_cast<std::uint32_t>(Capability::aes);
    info.capabilities &= ~settings_.withheld;
    for (const auto& own : own_endpoints_told()) {
        info.endpoints.push_back(own.endpoint);
        info.found.push_back(own.found);
    }
    info.streams = stream_endpoints_;
    info.nat = nat_mapping(false);
    info.trunks = trunks_;
    info.phones = phones_;
    for (const auto& subnet : self_.says.subnets) {
        const auto& offered = settings_.offered;
        if (!offered || std::find(offered->begin(), offered->end(), subnet) != offered->end()) info.offered.push_back(subnet);
    }
    return info;
}

std::vector<net::Endpoint> Node::own_endpoints() const {
    std::vector<net::Endpoint> out;
    for (const auto& own : own_endpoints_told()) out.push_back(own.endpoint);
    return out;
}

/// What is configured, then what the whole Internet may reach, then what only neighbours may.
std::vector<Paths::Told> Node::own_endpoints_told() const {
    std::vector<Paths::Told> all;
    for (const auto& endpoint : settings_.advertise) all.push_back({endpoint, Found::configured});
    for (const auto& endpoint : mapped_) all.push_back({endpoint, Found::mapped});
    std::vector<net::Endpoint> local, observed;
    for (const auto& endpoint : settings_.local_endpoints)
        if (!endpoint.address.is_link_local() && !endpoint.address.is_loopback()) local.push_back(endpoint);
    for (const auto& [_, peer] : links_)
        for (const auto& one : peer.observed)
            if (peer.state == PeerLink::State::up && !one.seen.is_none()) observed.push_back(one.seen);
    std::sort(observed.begin(), observed.end());
    const auto put = [&](const std::vector<net::Endpoint>& some, Found found, bool global) {
        for (const auto& endpoint : some)
            if (!endpoint.address.is_private() == global) all.push_back({endpoint, found});
    };
    put(local, Found::local, true);
    put(observed, Found::seen, true);
    put(local, Found::local, false);
    put(observed, Found::seen, false);
    std::vector<Paths::Told> out;
    for (const auto& [endpoint, found] : all) {
        const bool own = overlay_prefix(identity_.mesh_id).contains(endpoint.address) ||
                         (view().mesh && view().mesh->pool.contains(endpoint.address));
        if (own || !Paths::usable(endpoint) || out.size() >= kMaxEndpoints) continue;
        if (std::none_of(out.begin(), out.end(), [at = &endpoint](const auto& one) { return one.endpoint == *at; }))
            out.push_back({endpoint, found});
    }
    // Only loopback, as in a test or a demonstration on one machine: better than nothing.
    if (out.empty())
        for (const auto& endpoint : settings_.local_endpoints)
            if (out.size() < kMaxEndpoints) out.push_back({endpoint, Found::local});
    for (auto& one : out) one.endpoint.scope = 0;
    return out;
}

namespace {

/// Whether the record as it stands promises a way to a subnet that is none any more.
bool withdraws_subnet(const Record* standing, const NodeInfo& info) {
    const auto body = standing == nullptr ? std::nullopt : decode(standing->key, standing->body());
    const auto* said = body ? std::get_if<NodeInfo>(&*body) : nullptr;
    return said != nullptr && !std::all_of(said->offered.begin(), said->offered.end(), [&](const net::Prefix& subnet) {
        return std::find(info.offered.begin(), info.offered.end(), subnet) != info.offered.end();
    });
}

}  // namespace

void Node::publish_node_record(net::Now now) {
    next_node_record_ = net::kNever;
    if (standing_ != Standing::member) return;
    const auto own = own_info();
    const Body info = own;
    const auto subject = as_subject(key_.view());
    const auto* old = roster_.find({RecordType::node, subject, key_});
    if (old != nullptr && decode(old->key, old->body()) == info) return;
    if (now.steady < node_record_from_ && !withdraws_subnet(old, own)) {  // not now, but soon
        next_node_record_ = node_record_from_;
        return;
    }
    node_record_from_ = now.steady + kNodeRecordEvery;
    const auto sequence = std::max(roster_.next_sequence(RecordType::node, subject), milliseconds(now.wall));
    publish(sign_record(identity_.mesh_id, identity_.node_secret, RecordType::node, subject, sequence, encode(info)), now);
}

// Invitations.

net::Result<void> Node::check_new_name(const std::string& name) const {
    if (!is_node_name(name))
        return net::fail("\"" + name + "\" is no name for a node: use a-z, 0-9 and -, at most 63, no dash at either end");
    if (view().by_name(name) != nullptr) return net::fail("a member is called " + name + " already");
    return {};
}

std::vector<net::IpAddress> Node::new_addresses(net::ByteView key) const {
    std::set<net::IpAddress> taken;
    for (const auto& [_, member] : view().members) taken.insert(member.says.addresses.begin(), member.says.addresses.end());
    std::vector<net::IpAddress> out{overlay_address(identity_.mesh_id, key)};
    if (view().mesh) {
        if (const auto v4 = pool_address(view().mesh->pool, key, taken); !v4.is_none()) out.push_back(v4);
    }
    return out;
}

/// Whether the subnets fit beside those of others; if so, what there is to know about them.
net::Result<std::vector<std::string>> Node::check_new_subnets(const InviteRequest& request) const {
    std::vector<std::string> notes;
    for (std::size_t i = 0; i < request.subnets.size(); ++i) {
        const auto& subnet = request.subnets[i];
        if (const auto overlay = overlay_prefix(identity_.mesh_id); subnet.overlaps(overlay))
            return net::fail("the subnet " + subnet.text() + " overlaps the mesh's own addresses " + overlay.text());
        if (view().mesh && subnet.overlaps(view().mesh->pool))
            return net::fail("the subnet " + subnet.text() + " overlaps the mesh's own addresses " + view().mesh->pool.text());
        for (const auto& [key, member] : view().members) {
            for (const auto& other : member.says.subnets) {
                if (subnet == other) {
                    notes.push_back(member.says.name + " routes " + subnet.text() + ", too: " + request.name +
                                    " will be a second gateway to it");
                } else if (subnet.overlaps(other) && request.may_overlap) {
                    notes.push_back(subnet.text() + " overlaps " + other.text() + ", which " + member.says.name +
                                    " routes: the longer of the two has what lies in both");
                } else if (subnet.overlaps(other)) {
                    return net::fail("the subnet " + subnet.text() + " overlaps " + other.text() + ", which " +
                                     member.says.name + " routes: give the very same one for a second gateway, another " +
                                     "one, or --force if it is meant to lie " + (other.contains(subnet) ? "within" : "around") +
                                     " it");
                }
            }
        }
    }
    return notes;
}

net::Result<Invited> Node::invite(const InviteRequest& request, net::Now now) {
    if (const auto may = may_administer(); !may) return tl::unexpected<net::Error>(may.error());
    if (const auto good = check_new_name(request.name); !good) return tl::unexpected<net::Error>(good.error());
    if (request.admin && !identity_.root_secret)
        return net::fail("only the root invites admins: run this where the mesh was made");
    auto notes = check_new_subnets(request);
    if (!notes) return tl::unexpected<net::Error>(notes.error());
    Invited token;
    token.notes = std::move(*notes);
    token.mesh_id = identity_.mesh_id;
    token.expires = net::unix_seconds(now.wall) + request.valid.count();
    random_.fill(token.secret.fill());
    for (const auto& endpoint : own_endpoints())
        if (token.contacts.size() + 1 < kMaxTokenEndpoints) token.contacts.push_back({tunnel_key_, endpoint});
    // One other member, in case this node cannot be reached from there: it carries the question here.
    for (const auto& [key, peer] : links_) {
        if (token.contacts.size() == kMaxTokenEndpoints) break;
        if (peer.state == PeerLink::State::up && !peer.stock && !peer.endpoint.address.is_link_local() && !is_virtual(peer.endpoint))
            token.contacts.push_back({key, peer.endpoint});
    }
    // And by TLS, for where UDP is blocked: this node, then another.
    if (!stream_endpoints_.empty()) token.contacts.push_back({tunnel_key_, stream_endpoints_.front(), true});
    for (const auto& [key, peer] : links_) {
        const auto* const member = view().member(peer.key);
        if (peer.state != PeerLink::State::up || member == nullptr || !member->node || member->node->streams.empty()) continue;
        token.contacts.push_back({key, member->node->streams.front(), true});
        break;
    }
    Invitation invitation{request.name, request.subnets, {}, token.expires, key_};
    if (request.relay) invitation.roles = invitation.roles.with(Role::relay);
    if (request.voice) invitation.roles = invitation.roles.with(Role::voice);
    if (request.exit) invitation.roles = invitation.roles.with(Role::exit);
    if (request.admin) invitation.roles = invitation.roles.with(Role::admin);
    std::vector<Record> records{
        sign_as_admin(RecordType::invitation, as_subject(token.tunnel_key().view()), invitation, request.admin)};
    for (const auto& [key, open] : view().invitations) {
        if (open.says.name != request.name || open.revoked || open.spent_by || open.says.until <= net::unix_seconds(now.wall))
            continue;
        records.push_back(sign_as_admin(RecordType::revocation, as_subject(key.view()),
                                        Revocation{net::unix_seconds(now.wall), ""}, identity_.root_secret.has_value()));
        token.notes.push_back("this replaces the invitation for " + request.name + " that was open: its token is good no more");
    }
    if (const auto done = adopt(std::move(records), now); !done) return tl::unexpected<net::Error>(done.error());
    return token;
}

net::Result<StockAdmission> Node::admit_stock(const std::string& name, std::optional<net::TunnelKey> key, net::Now now) {
    if (const auto may = may_administer(); !may) return tl::unexpected<net::Error>(may.error());
    if (const auto good = check_new_name(name); !good) return tl::unexpected<net::Error>(good.error());
    StockAdmission out;
    out.name = name;
    if (!key) {
        out.secret = make_tunnel_secret(random_);
        key = public_key(*out.secret);
    }
    if (key->is_zero() || view().by_tunnel_key(*key) != nullptr || view().is_revoked(key->view()))
        return net::fail("that public key is in use or has been revoked: make a new one");
    out.public_key = *key;
    Member member;
    member.name = name;
    member.tunnel_key = *key;
    member.addresses = out.addresses = new_addresses(key->view());
    member.stock = true;
    member.valid_from = net::unix_seconds(now.wall);
    std::vector<Record> records{sign_as_admin(RecordType::member, as_subject(key->view()), member)};
    if (const auto done = adopt(std::move(records), now); !done) return tl::unexpected<net::Error>(done.error());
    out.gateway = tunnel_key_;
    out.gateway_endpoints = own_endpoints();
    out.allowed_ips.push_back(overlay_prefix(identity_.mesh_id));
    if (view().mesh) out.allowed_ips.push_back(view().mesh->pool);
    const auto own = own_info().offered;
    out.allowed_ips.insert(out.allowed_ips.end(), own.begin(), own.end());
    for (const auto& [other, says] : view().members) {
        const auto* peer = link(other);
        if (peer == nullptr || peer->stock || !says.node || says.node->endpoints.empty()) continue;
        StockAdmission::Peer member_peer{says.says.name, says.says.tunnel_key, says.node->endpoints, says.node->offered};
        for (const auto& address : says.says.addresses) member_peer.allowed_ips.push_back(net::Prefix::host(address));
        out.others.push_back(std::move(member_peer));
    }
    return out;
}

// Revocation.

net::Result<Revoked> Node::revoke(const std::string& name, net::Now now) {
    if (const auto may = may_administer(); !may) return tl::unexpected<net::Error>(may.error());
    const bool root = identity_.root_secret.has_value();
    std::vector<Record> records;
    const auto put_out = [&](net::ByteView key) {
        records.push_back(sign_as_admin(RecordType::revocation, as_subject(key),
                                        Revocation{net::unix_seconds(now.wall), ""}, root));
    };
    Revoked out;
    // A token that is still about must not bring back who has just been put out.
    for (const auto& [key, invitation] : view().invitations)
        if (invitation.says.name == name && !invitation.revoked && !invitation.spent_by) put_out(key.view());
    const auto* member = view().by_name(name);
    if (member == nullptr) {
        if (records.empty()) return net::fail("no member and no open invitation is called " + name);
        if (const auto done = adopt(std::move(records), now); !done) return tl::unexpected<net::Error>(done.error());
        return out;
    }
    if (member->key == key_) return net::fail("a node cannot revoke itself: run this on another admin node");
    const bool admin = view().admins.contains(member->key);
    if (admin && !root) return net::fail("only the root revokes admins: run this where the mesh was made");
    const auto key = member->key;
    // In one bundle: first what shall stand of what an admin signed, then that it is out.
    if (admin) stand_again(key, records);
    renew_voice_key(key, records, out);
    if (view().mesh) {
        auto policy = *view().mesh;
        random_.fill(policy.discovery_key.bytes);
        records.push_back(sign_as_admin(RecordType::policy, std::string(kMeshPolicy), policy, root, &key));
    }
    if (!member->says.invitation.is_zero()) put_out(member->says.invitation.view());
    put_out(key.view());
    if (const auto done = adopt(std::move(records), now); !done) return tl::unexpected<net::Error>(done.error());
    return out;
}

/// The root signs anew every member, revocation, policy and user that counts and that this admin has signed.
void Node::stand_again(const net::NodeKey& admin, std::vector<Record>& records) const {
    for (const auto& [key, entry] : roster_.entries()) {
        if (key.signer != admin || key.subject == net::as_text(admin.view())) continue;
        if (key.type == RecordType::invitation || roster_.counting(key.type, key.subject)->id != entry.record.id) continue;
        if (key.type == RecordType::policy && (key.subject == kMeshPolicy || key.subject.starts_with(kVoiceKeyPolicy)))
            continue;  // renewed anyway
        records.push_back(sign_record(identity_.mesh_id, *identity_.root_secret, key.type, key.subject,
                                      roster_.next_sequence(key.type, key.subject, &admin), entry.record.body()));
    }
}

}  // namespace mesh
