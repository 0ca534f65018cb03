/// How branches and forks end: cancelled, forsaken, timed out, moved past a dead centre, forgotten.
#include <algorithm>

#include "voice/forking.hpp"

namespace voice {

namespace {

/// Each office finds out for itself that the centre is dead: within a probe or two of the first.
constexpr auto kOrphan = std::chrono::seconds(8);
/// How long the centre may take to say that a call has been cancelled, before the callee is told past it.
constexpr auto kHearsCancel = std::chrono::milliseconds(500);

}  // namespace

void Forking::drop(Fork& fork, Branch& branch, net::Now now, std::string_view reason) {
    if (!branch.pending()) return;
    branch.dropped = true;
    branch.timer_c = net::kNever;
    if (!fork.is_invite()) return;
    if (branch.status > 0) return exchange_.transactions.cancel(branch.id, now, reason);
    if (const auto* sent = exchange_.transactions.request_of_client(branch.id)) {
        forsaken_.add(*sent, branch.target.flow, now);
    }
    exchange_.transactions.abandon(branch.id);
    fork_of_.erase(branch.id);
}

void Forking::drop_others(Fork& fork, const Branch* keep, net::Now now, std::string_view reason) {
    for (auto& branch : fork.branches) {
        if (&branch != keep) drop(fork, branch, now, reason);
    }
}

void Forking::cancelled(ServerId id, net::Now now, std::string_view reason) {
    auto* fork = find(id);
    if (fork == nullptr) return;
    fork->withdrawn = std::any_of(fork->branches.begin(), fork->branches.end(), [](const auto& branch) {
        // It may ring though nothing but 100 has come back: who died could not say so.
        return branch.pending() && branch.status >= 100 && branch.target.path == Path::central;
    });
    finish(*fork, 487, now, reason);
    if (fork = find(id); fork == nullptr || !fork->withdrawn) return;
    fork->patience = now.steady + kHearsCancel;
    wake(*fork);
}

Fork* Forking::other_half(const Fork& fork) {
    const bool came = fork.from.side == Side::centre;
    const auto waits = [](const Fork& went) {
        return std::any_of(went.branches.begin(), went.branches.end(), [&](const auto& branch) {
            return branch.target.path == Path::central && (went.final_status == 0 ? branch.pending() : went.winner == branch.id);
        });
    };
    if (!fork.is_invite() || !fork.request.to_tag().empty() || (!came && !waits(fork))) return nullptr;
    for (auto& [id, other] : forks_) {
        if (!other.is_invite() || (other.from.side == Side::centre) == came || other.request.call_id() != fork.request.call_id() ||
            other.request.from_tag() != fork.request.from_tag() || other.request.cseq().number != fork.request.cseq().number) {
            continue;
        }
        const auto answer = (came ? fork : other).final_status;
        if (answer >= 300 || (came && !waits(other))) continue;
        return &other;
    }
    return nullptr;
}

bool Forking::hand_over(Fork& came, const Message& response, net::Now now) {
    if (came.from.side != Side::centre || came.adopted || came.asked || !came.is_invite() || exchange_.centre_up() || response.status() == 100) {
        return false;
    }
    const bool was_final = came.final_status >= 300;
    if (was_final) came.final_status = 0;  // it is the one that is being told
    auto* went = other_half(came);
    if (was_final) came.final_status = response.status();
    if (went == nullptr) return false;
    const auto branch = std::find_if(went->branches.begin(), went->branches.end(),
                                     [](const auto& b) { return b.target.path == Path::central; });
    auto told = response;
    told.remove("Via");
    const auto vias = went->request.vias();
    for (auto via = vias.rbegin(); via != vias.rend(); ++via) told.push_via(*via);
    // The centre's own transactions end too: it is answered as if it lived, and what waits for its answer waits no longer
    // than for one to CANCEL.
    if (response.status() >= 200) {
        exchange_.transactions.respond(came.id, response, now);
        exchange_.transactions.cancel(branch->id, now);
    }
    if (response.status() < 200) {
        provisional(*went, *branch, std::move(told), now);
    } else if (response.status() < 300) {
        success(*went, *branch, std::move(told), now);
    } else {
        refused(*went, *branch, std::move(told), now);
    }
    return true;
}

void Forking::server_ended(ServerId id, bool clean, net::Now now) {
    auto* fork = find(id);
    if (fork == nullptr) return;
    fork->server_gone = true;
    if (!clean && !exchange_.centre_up() && fork->from.side == Side::centre && other_half(*fork) != nullptr) return;
    if (!clean && fork->is_invite() && fork->final_status == 0 && fork->from.side == Side::centre) {
        // The centre died while the phone rings: the caller's meshd is about to bring the same call over the mesh.
        fork->orphan_until = now.steady + kOrphan;
        return wake(*fork);
    }
    if (fork->final_status == 0) finish(*fork, 487, now);
    forget_if_over(id);
}

void Forking::client_ended(ClientId id) {
    const auto at = fork_of_.find(id);
    if (at == fork_of_.end()) return;
    const auto server = at->second;
    fork_of_.erase(at);
    forget_if_over(server);
}

void Forking::ping(Fork& fork, net::Now now) {
    const auto to = [&](const Flow& flow) {
        if (flow.side == Side::phone && !flow.reliable()) exchange_.transactions.send(net::copy(net::as_bytes("\r\n\r\n")), flow);
    };
    fork.ping_at = net::kNever;
    if (fork.final_status != 0 || fork.server_gone) return;
    fork.ping_at = now.steady + kPingEvery;
    to(fork.from);
    for (const auto& branch : fork.branches) {
        if (branch.pending() && branch.status > 100) to(branch.target.flow);
    }
}

void Forking::centre_lost(net::Now now) {
    std::vector<ServerId> waiting;
    std::vector<ServerId> withdrawn;
    for (const auto& [id, fork] : forks_) {
        if (fork.final_status == 0) waiting.push_back(id);
        if (fork.withdrawn) withdrawn.push_back(id);
    }
    for (const auto id : withdrawn) {
        if (auto* fork = find(id)) fork->user->withdraw(*fork, now);
    }
    for (const auto id : waiting) {
        auto* fork = find(id);
        if (fork == nullptr || fork->final_status != 0) continue;
        std::vector<ClientId> silent;
        for (const auto& branch : fork->branches) {
            if (branch.pending() && branch.target.path == Path::central) silent.push_back(branch.id);
        }
        if (silent.empty()) continue;
        if (auto* came = other_half(*fork)) {
            if (came->provisional && came->final_status == 0) reply(*came, *came->provisional, now);
            continue;
        }
        // The callee's side may have refused the spare for the sake of the way that is now dead.
        for (const auto& branch : fork->branches) fork->spare_tried &= !(branch.spare && branch.status == 482);
        if (try_spare(*fork, now)) continue;
        for (const auto client : silent) {
            auto* branch = branch_of(client, fork);
            if (branch == nullptr) break;
            if (!fork->is_invite()) {
                failed(client, 503, now);
            } else if (branch->pending() && branch->status <= 100) {  // what rings may yet be answered by the mesh
                drop(*fork, *branch, now);
                fork->refusals.push_back(
                    Message::response(fork->request, 503, {}, exchange_.transactions.make_tag()));
                choose(*fork, now);
            }
        }
    }
}

void Forking::adopt(ServerId old, ServerId id, const Message& request, const Flow& from, net::Now now) {
    auto node = forks_.extract(old);
    if (node.empty()) return;
    exchange_.answer(old, 482, now);
    node.key() = id;
    auto& fork = forks_.insert(std::move(node)).position->second;
    fork.id = id;
    fork.request = request;
    fork.from = from;
    fork.adopted = true;
    fork.server_gone = false;
    fork.orphan_until = net::kNever;
    for (auto& [client, server] : fork_of_) {
        if (server == old) server = id;
    }
    wake(fork);
    if (fork.provisional) reply(fork, *fork.provisional, now);
}

void Forking::tick(net::Now now) {
    forsaken_.tick(now);
    while (!deadlines_.empty() && deadlines_.begin()->first <= now.steady) {
        const auto id = deadlines_.begin()->second;
        deadlines_.erase(deadlines_.begin());
        auto* fork = find(id);
        if (fork == nullptr) continue;
        if (fork->orphan_until <= now.steady) {
            fork->orphan_until = net::kNever;
            finish(*fork, 487, now);
            forget_if_over(id);
            continue;
        }
        if (fork->ping_at <= now.steady) ping(*fork, now);
        if (fork->patience <= now.steady && fork->withdrawn) {
            fork->patience = net::kNever;
            const bool heard = std::none_of(fork->branches.begin(), fork->branches.end(), [](const auto& branch) {
                return branch.target.path == Path::central && branch.status < 200;
            });
            if (!heard) fork->user->withdraw(*fork, now);
        } else if (fork->patience <= now.steady) {
            if (fork->next.empty() && !fork->hurried) {
                try_spare(*fork, now);
            } else {
                fork->patience = net::kNever;
                for (const auto& branch : fork->branches) {
                    if (branch.pending()) fork->user->heard(*fork, branch, 408, std::nullopt, now);
                }
                drop_others(*fork, nullptr, now);
                if (!try_next(*fork, now)) {
                    if (fork->hurried) {
                        fork->refusals.push_back(Message::response(fork->request, 408, {}, exchange_.transactions.make_tag()));
                    }
                    choose(*fork, now);
                    continue;
                }
            }
        }
        std::vector<ClientId> late;
        for (const auto& branch : fork->branches) {
            if (branch.pending() && branch.timer_c <= now.steady) late.push_back(branch.id);
        }
        for (const auto client : late) {
            Fork* same = nullptr;
            auto* branch = branch_of(client, same);
            if (branch == nullptr) continue;
            drop(*same, *branch, now);
            same->refusals.push_back(Message::response(same->request, 408, {}, exchange_.transactions.make_tag()));
            choose(*same, now);
        }
        if (auto* still = find(id)) wake(*still);
    }
}

void Forking::forget_if_over(ServerId id) {
    const auto* fork = find(id);
    if (fork == nullptr) return;
    if (!fork->is_invite() && fork->final_status != 0) {  // nothing counts that may still come
        for (const auto& branch : fork->branches) fork_of_.erase(branch.id);
        forks_.erase(id);
        return;
    }
    if (!fork->server_gone) return;
    // One of a lost centre's may stand for what its other half says, with no transaction any more.
    const bool live = std::any_of(fork->branches.begin(), fork->branches.end(), [&](const auto& b) {
        return fork_of_.contains(b.id) && exchange_.transactions.request_of_client(b.id) != nullptr;
    });
    if (live) return;
    for (const auto& branch : fork->branches) fork_of_.erase(branch.id);
    forks_.erase(id);
}

}  // namespace voice
