#include "meshd/call_accounts.hpp"

#include "meshd/saved_calls.hpp"

namespace meshd {

void CallAccounts::gather(const std::set<voice::NodeId>& nodes, Done done) {
    const auto gathering = gatherings_.emplace(gatherings_.end());
    gathering->done = std::move(done);
    for (const auto& node : nodes) (proxy_.ask_accounts(node, loop_.now()) ? gathering->waits_for : gathering->silent).insert(node);
    gathering->patience = std::make_unique<loop::Timer>(loop_, [this, gathering] { finish(gathering); });
    gathering->patience->after(gathering->waits_for.empty() ? net::Duration::zero() : net::Duration(kPatience));
}

void CallAccounts::finish(std::list<Gathering>::iterator gathering) {
    // The timer may be the one that runs now: it goes with the list's entry, at the end of this turn.
    auto whole = std::make_shared<Gathering>(std::move(*gathering));
    gatherings_.erase(gathering);
    loop_.post([whole] {
        whole->silent.merge(whole->waits_for);
        whole->done(std::move(whole->accounts), std::move(whole->silent));
    });
}

void CallAccounts::asked(const voice::AccountsAsked& event) {
    std::vector<voice::CallRecord> theirs;
    const auto& records = proxy_.call_history().records();
    for (auto record = records.rbegin(); record != records.rend() && theirs.size() < kMostTold; ++record) {
        if (record->second.other == event.by) theirs.push_back(record->second);
    }
    proxy_.tell_accounts(event.id, accounts_text(theirs), loop_.now());
}

void CallAccounts::told(const voice::AccountsTold& event) {
    auto accounts = accounts_of(event.text);
    for (auto& account : accounts) account.node = event.node;  // it speaks for nobody else
    for (auto gathering = gatherings_.begin(); gathering != gatherings_.end();) {
        const auto one = gathering++;
        if (one->waits_for.erase(event.node) == 0) continue;
        one->accounts.insert(one->accounts.end(), accounts.begin(), accounts.end());
        if (one->waits_for.empty()) one->patience->after(net::Duration::zero());
    }
}

}  // namespace meshd
