/// How branches and forks end: cancelled, forsaken, timed out, moved past a dead centre, forgotten.
#include <algorithm>
#include <utility>

#include "voice/forking.hpp"

namespace voice {

namespace {

/// Each office finds out for itself that the centre is dead: within a probe or two of the first.
constexpr auto kOrphan = std::chrono::seconds(8);
/// How long the centre may take to say that a call has been cancelled, before the callee is told past it.
constexpr auto kHearsCancel = std::chrono::milliseconds(500);
/// Longer than patience(), by what a request takes to the callee's office: it judges the centre by the same rule.
constexpr auto kDoubtAgain = std::chrono::milliseconds(50);

/// Whether it waits for what the centre says, or has gone by that.
bool hangs_on_centre(const Fork& fork) {
    return std::any_of(fork.branches.begin(), fork.branches.end(), [&](const auto& branch) {
        return branch.target.path == Path::central && (fork.final_status == 0 ? branch.pending() : fork.winner == branch.id);
    });
}

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

std::vector<Fork*> Forking::other_halves(const Fork& fork) {
    const bool came = fork.from.side == Side::centre;
    std::vector<Fork*> out;
    if (!fork.begins_dialog() || (!came && !hangs_on_centre(fork))) return out;
    auto copies = invites_.copies_of(fork.request);
    const auto renamed = fork.user->renamed(fork);
    copies.insert(copies.end(), renamed.begin(), renamed.end());
    for (const auto id : copies) {
        auto* other = find(id);
        if (other == nullptr || (other->from.side == Side::centre) == came) continue;
        if (came ? hangs_on_centre(*other) : other->final_status < 300) out.push_back(other);
    }
    return out;
}

bool Forking::hand_over(Fork& came, const Message& response, net::Now now) {
    const bool silent = !exchange_.centre_up() || came.past_centre;
    if (came.from.side != Side::centre || came.adopted || came.asked || !came.is_invite() || !silent) return false;
    if (response.status() == 100) return false;
    const auto halves = other_halves(came);
    if (halves.empty()) return false;
    auto* went = halves.front();
    const auto branch = std::find_if(went->branches.begin(), went->branches.end(),
                                     [](const auto& b) { return b.target.path == Path::central; });
    auto told = response;
    const bool renamed = came.request.call_id() != went->request.call_id();
    if (renamed) {
        if (response.status() < 200 && response.has("RSeq")) return false;  // no PRACK would find the way back
        const auto* sent = branch == went->branches.end() ? nullptr : exchange_.transactions.request_of_client(branch->id);
        if (sent == nullptr) return false;
        rename(told, *sent);
    }
    told.remove("Via");
    const auto vias = went->request.vias();
    for (auto via = vias.rbegin(); via != vias.rend(); ++via) told.push_via(*via);
    const auto status = response.status();
    if (status < 200) {
        provisional(*went, *branch, std::move(told), now);
        return true;
    }
    // The centre's own transactions end too: it is answered as if it lived, and what waits for its answer waits no longer
    // than for one to CANCEL.
    exchange_.transactions.respond(came.id, response, now);
    std::vector<ServerId> rivals;  // the callee's other phones that ring
    for (const auto* other : other_halves(*went)) {
        if (other->id == came.id) continue;
        if (other->final_status == 0) rivals.push_back(other->id);
        // Who answered before it has the call: his phone will say so again.
        const bool earlier = other->answered != 0 && (came.answered == 0 || other->answered < came.answered);
        if (earlier && status < 300 && went->final_status == 0) return true;
    }
    const auto stop_rivals = [&](std::string_view reason) {
        for (const auto id : rivals) {
            if (auto* rival = find(id)) finish(*rival, 487, now, reason);
        }
    };
    if (status < 300 && went->final_status != 0 && response.to_tag() != went->winner_tag) {
        // Both have answered before anybody could tell them apart; or the B2BUA had passed it on, and took the ACK with it.
        const bool passed_on = renamed && went->final_status < 300;
        if (auto* late = branch_of(came, came.winner)) {
            forsaken_.end(response, late->target.flow, !passed_on && !std::exchange(late->ended, true), now);
        }
        return true;
    }
    if (status < 300) {
        const auto caller = went->id;
        const bool first = went->final_status == 0;
        exchange_.transactions.cancel(branch->id, now);
        if (renamed) went->user->joined(came, *went);
        success(*went, *branch, std::move(told), now);
        stop_rivals(kElsewhere);
        if (auto* answered = find(caller); answered != nullptr && first) answered->user->withdraw(*answered, true, now);
        return true;
    }
    if (went->final_status != 0) return true;  // this phone stopped as another had answered
    if (rivals.empty()) {
        exchange_.transactions.cancel(branch->id, now);
        refused(*went, *branch, std::move(told), now);
        return true;
    }
    // As the centre would: the best of all refusals, once there is nobody left.
    went->refusals.push_back(std::move(told));
    if (status >= 600) stop_rivals(reason_of(status));
    return true;
}

bool Forking::hand_over_all(Fork& went, net::Now now) {
    const auto id = went.id;
    std::vector<ServerId> halves;
    for (const auto* came : other_halves(went)) halves.push_back(came->id);
    for (const auto half : halves) {
        auto* came = find(half);
        if (came == nullptr || find(id) == nullptr) continue;  // it has been told what ends it
        came->past_centre = true;
        if (came->answer) {
            answer_again(*came, now);
        } else if (came->provisional && came->final_status == 0) {
            reply(*came, *came->provisional, now);
        }
    }
    return !halves.empty();
}

void Forking::answer_again(Fork& fork, net::Now now) {
    auto* winner = branch_of(fork, fork.winner);
    if (fork.answer && winner != nullptr) success(fork, *winner, *fork.answer, now);
}

const Branch* Forking::only_tried(const Fork& fork) {
    if (!fork.begins_dialog() || fork.from.side != Side::phone || fork.hurried || !fork.next.empty() || fork.final_status != 0 || fork.withdrawn) return nullptr;
    const Branch* out = nullptr;
    for (const auto& branch : fork.branches) {
        if (!branch.pending()) continue;
        if (branch.status > 100) return nullptr;
        if (branch.target.path == Path::central && branch.status == 100) out = &branch;
    }
    return out;
}

void Forking::doubt(Fork& fork, net::Now now) {
    auto& monitor = *exchange_.monitor;
    fork.patience = net::kNever;
    if (!monitor.believed_up()) return;  // centre_lost() has seen to it
    fork.patience = now.steady + monitor.patience() + kDoubtAgain;
    if (!monitor.doubtful(now)) return monitor.hurry();
    if (hand_over_all(fork, now)) return;
    const auto patience = fork.patience;  // where it rings already, the callee's side may have its doubts later
    retry_spare(fork, now);
    fork.patience = patience;
}

void Forking::server_ended(ServerId id, bool clean, net::Now now) {
    auto* fork = find(id);
    if (fork == nullptr) return;
    fork->server_gone = true;
    const bool lost = !clean && fork->from.side == Side::centre;
    if (lost && !exchange_.centre_up() && fork->final_status < 300 && !other_halves(*fork).empty()) return;
    if (lost && fork->is_invite() && fork->final_status == 0) {
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
        if (auto* fork = find(id)) fork->user->withdraw(*fork, false, now);
    }
    for (const auto id : waiting) {
        auto* fork = find(id);
        if (fork == nullptr || fork->final_status != 0) continue;
        std::vector<ClientId> silent;
        for (const auto& branch : fork->branches) {
            if (branch.pending() && branch.target.path == Path::central) silent.push_back(branch.id);
        }
        if (silent.empty()) continue;
        if (hand_over_all(*fork, now)) continue;
        if (retry_spare(*fork, now)) continue;
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

std::size_t Forking::adopt(const std::vector<ServerId>& old, ServerId id, const Message& request, const Flow& from, net::Now now,
                           bool renamed) {
    Fork* fork = nullptr;
    std::size_t count = 0;
    std::vector<Message> provisionals;
    for (const auto one : old) {
        auto node = forks_.extract(one);
        if (node.empty()) continue;
        ++count;
        auto& taken = node.mapped();
        invites_.remove(taken.request, one);
        exchange_.answer(one, 482, now);
        if (taken.provisional) provisionals.push_back(*taken.provisional);
        for (const auto& branch : taken.branches) {
            if (const auto at = fork_of_.find(branch.id); at != fork_of_.end()) at->second = id;
        }
        if (fork == nullptr) {
            node.key() = id;
            fork = &forks_.insert(std::move(node)).position->second;
            continue;
        }
        std::move(taken.branches.begin(), taken.branches.end(), std::back_inserter(fork->branches));
        std::move(taken.refusals.begin(), taken.refusals.end(), std::back_inserter(fork->refusals));
        fork->ping_at = std::min(fork->ping_at, taken.ping_at);
    }
    if (fork == nullptr) return 0;
    fork->id = id;
    fork->request = request;
    fork->from = from;
    fork->adopted = true;
    if (renamed) fork->asked = request;
    fork->server_gone = false;
    fork->orphan_until = net::kNever;
    invites_.add(request, id);
    wake(*fork);
    if (fork->final_status != 0) {
        drop_others(*fork, branch_of(*fork, fork->winner), now, kElsewhere);
        return count;
    }
    for (const auto& provisional : provisionals) reply(*fork, provisional, now);
    return count;
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
            if (!heard) fork->user->withdraw(*fork, false, now);
        } else if (fork->patience <= now.steady) {
            if (only_tried(*fork) != nullptr) {
                doubt(*fork, now);
                if (fork = find(id); fork == nullptr) continue;
            } else if (fork->next.empty() && !fork->hurried) {
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
        return forget(*fork);
    }
    if (!fork->server_gone) return;
    // One of a lost centre's may stand for what its other half says, with no transaction any more.
    const bool live = std::any_of(fork->branches.begin(), fork->branches.end(), [&](const auto& b) {
        return fork_of_.contains(b.id) && exchange_.transactions.request_of_client(b.id) != nullptr;
    });
    if (!live) forget(*fork);
}

void Forking::forget(const Fork& fork) {
    for (const auto& branch : fork.branches) fork_of_.erase(branch.id);
    if (fork.begins_dialog()) invites_.remove(fork.request, fork.id);
    const auto id = fork.id;  // it goes with the fork
    forks_.erase(id);
}

}  // namespace voice
