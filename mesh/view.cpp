#include "mesh/view.hpp"

#include <algorithm>
#include <tuple>

#include "net/text.hpp"

namespace mesh {
namespace {

using Entries = Roster::Entries;

struct Run {
    Entries::const_iterator first, last;
    auto begin() const { return first; }
    auto end() const { return last; }
};

/// The entries of one type, in order of subject and signer.
Run of_type(const Entries& entries, RecordType type) {
    const auto first = entries.lower_bound({type, "", {}});
    auto last = first;
    while (last != entries.end() && last->first.type == type) ++last;
    return {first, last};
}

/// Of each subject the highest record whose signer counts; an admin's member record is the root's affair.
std::map<std::string, const Roster::Entry*> best(const Entries& entries, RecordType type, const View& view,
                                                 const net::NodeKey& root) {
    std::map<std::string, const Roster::Entry*> out;
    for (const auto& [key, entry] : of_type(entries, type)) {
        if (!view.admins.contains(key.signer)) continue;
        if (type == RecordType::member && key.signer != root) {
            if (const auto subject = node_key(key.subject); subject && view.admins.contains(*subject)) continue;
        }
        auto& kept = out[key.subject];
        if (kept == nullptr || entry.record.newer_than(kept->record)) kept = &entry;
    }
    return out;
}

void put_members(View& view, const Entries& entries, const net::NodeKey& root, std::optional<net::Wall> time) {
    std::vector<KnownMember> claims;
    for (const auto& [subject, entry] : best(entries, RecordType::member, view, root)) {
        KnownMember member{*node_key(subject), std::get<Member>(entry->body), entry->record.key.signer, false, {}};
        if (view.is_revoked(member.key.view()) || view.is_revoked(member.says.tunnel_key.view())) {
            view.gone.emplace(member.key, std::move(member.says));
            continue;
        }
        member.expired = time && member.says.valid_until != 0 && net::unix_seconds(*time) > member.says.valid_until;
        const auto info = entries.find({RecordType::node, subject, member.key});
        if (info != entries.end()) member.node = std::get<NodeInfo>(info->second.body);
        claims.push_back(std::move(member));
    }
    std::sort(claims.begin(), claims.end(), [](const KnownMember& a, const KnownMember& b) {
        return std::tie(a.says.valid_from, a.key) < std::tie(b.says.valid_from, b.key);
    });
    std::set<net::TunnelKey> tunnel_keys;
    std::set<std::string> names;
    std::set<net::IpAddress> addresses;
    for (auto& member : claims) {
        if (!tunnel_keys.insert(member.says.tunnel_key).second) continue;  // a second node under one key is none
        if (!names.insert(member.says.name).second) {
            member.says.name = member.says.name.substr(0, 46) + "-" + net::to_hex(member.key.view().first(8));
            names.insert(member.says.name);
        }
        std::erase_if(member.says.addresses, [&](const auto& address) { return !addresses.insert(address).second; });
        view.members.emplace(member.key, std::move(member));
    }
}

void put_invitations(View& view, const Entries& entries, const net::NodeKey& root) {
    for (const auto& [subject, entry] : best(entries, RecordType::invitation, view, root)) {
        const auto key = *net::TunnelKey::from(net::as_bytes(subject));
        view.invitations.emplace(
            key, KnownInvitation{key, std::get<Invitation>(entry->body), view.is_revoked(key.view()), std::nullopt});
    }
    // Spent is what any member record that counts says, also that of a member who is out by now.
    for (const auto& [key, entry] : of_type(entries, RecordType::member)) {
        if (!view.admins.contains(key.signer)) continue;
        const auto found = view.invitations.find(std::get<Member>(entry.body).invitation);
        if (found == view.invitations.end()) continue;
        const auto subject = *node_key(key.subject);
        auto& spent = found->second.spent_by;
        if (!spent || subject < *spent) spent = subject;
    }
}

void put_users(View& view, const Entries& entries, const net::NodeKey& root) {
    std::vector<KnownUser> claims;
    for (const auto& [subject, entry] : best(entries, RecordType::user, view, root)) {
        const auto& user = std::get<User>(entry->body);
        if (!user.removed) claims.push_back({subject, user, entry->record.key.signer});
    }
    std::sort(claims.begin(), claims.end(), [](const KnownUser& a, const KnownUser& b) {
        return std::tie(a.says.since, a.aor) < std::tie(b.says.since, b.aor);
    });
    for (auto& user : claims) {
        std::erase_if(user.says.numbers, [&](const auto& number) { return !view.numbers.emplace(number, user.aor).second; });
        const auto aor = user.aor;
        view.users.emplace(aor, std::move(user));
    }
}

}  // namespace

std::set<net::NodeKey> admins_of(const net::NodeKey& root, const Entries& entries,
                                 const std::set<net::NodeKey>& root_revoked) {
    std::set<net::NodeKey> out;
    for (const auto& [key, entry] : of_type(entries, RecordType::member)) {
        const auto& member = std::get<Member>(entry.body);
        const auto subject = *node_key(key.subject);
        if (key.signer != root || !member.roles.has(Role::admin) || member.stock) continue;
        const auto tunnel_key = *net::NodeKey::from(member.tunnel_key.view());
        if (!root_revoked.contains(subject) && !root_revoked.contains(tunnel_key)) out.insert(subject);
    }
    return out;
}

std::map<net::NodeKey, Revocation> revocations_of(const net::NodeKey& root, const Entries& entries,
                                                  const std::set<net::NodeKey>& admins) {
    std::set<net::NodeKey> of_admins = admins;  // and their tunnel keys: of these only the root may revoke any
    for (const auto& admin : admins) {
        const auto found = entries.find({RecordType::member, as_subject(admin.view()), root});
        if (found != entries.end())
            of_admins.insert(*net::NodeKey::from(std::get<Member>(found->second.body).tunnel_key.view()));
    }
    std::map<net::NodeKey, std::pair<const Roster::Entry*, Revocation>> latest;
    for (const auto& [key, entry] : of_type(entries, RecordType::revocation)) {
        const auto subject = *node_key(key.subject);
        const bool counts = key.signer == root || (admins.contains(key.signer) && !of_admins.contains(subject));
        if (!counts) continue;
        auto& kept = latest[subject];
        if (kept.first == nullptr || entry.record.newer_than(kept.first->record))
            kept = {&entry, std::get<Revocation>(entry.body)};
    }
    std::map<net::NodeKey, Revocation> out;
    for (auto& [subject, kept] : latest) out.emplace(subject, std::move(kept.second));
    return out;
}

View view_of(const net::NodeKey& root, const Entries& entries, const std::set<net::NodeKey>& admins,
             std::optional<net::Wall> time) {
    View view;
    view.admins = admins;
    view.admins.insert(root);
    view.revoked = revocations_of(root, entries, admins);
    put_members(view, entries, root, time);
    put_invitations(view, entries, root);
    put_users(view, entries, root);
    const auto policies = best(entries, RecordType::policy, view, root);
    if (const auto found = policies.find(std::string(kMeshPolicy)); found != policies.end())
        view.mesh = std::get<MeshPolicy>(found->second->body);
    return view;
}

const KnownMember* View::member(const net::NodeKey& key) const {
    const auto found = members.find(key);
    return found == members.end() ? nullptr : &found->second;
}
const KnownMember* View::by_tunnel_key(const net::TunnelKey& key) const {
    for (const auto& [_, member] : members)
        if (member.says.tunnel_key == key) return &member;
    return nullptr;
}
const KnownMember* View::by_name(std::string_view name) const {
    for (const auto& [_, member] : members)
        if (member.says.name == name) return &member;
    return nullptr;
}
const KnownMember* View::by_address(const net::IpAddress& address) const {
    for (const auto& [_, member] : members)
        if (std::find(member.says.addresses.begin(), member.says.addresses.end(), address) != member.says.addresses.end())
            return &member;
    return nullptr;
}
bool View::is_revoked(net::ByteView key) const {
    const auto found = net::NodeKey::from(key);
    return found && revoked.contains(*found);
}

}  // namespace mesh
