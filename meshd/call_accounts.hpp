/// Puts together what this node and others know of the calls that they carried. Each node tells another only of calls in
/// which that one was the other gateway. Control thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <set>

#include "loop/timer.hpp"
#include "voice/proxy.hpp"

namespace meshd {

class CallAccounts {
public:
    static constexpr auto kPatience = std::chrono::seconds(3);
    static constexpr std::size_t kMostTold = 40;           ///< accounts in one answer, the latest
    static constexpr std::size_t kMostGatherings = 16;     ///< at a time

    CallAccounts(loop::Loop& loop, voice::Proxy& proxy) : loop_(loop), proxy_(proxy) {}

    /// What others say, and who of them has said nothing.
    using Done = std::function<void(std::vector<voice::CallRecord> accounts, std::set<voice::NodeId> silent)>;
    /// Too many gather at this moment.
    bool full() const { return gatherings_.size() >= kMostGatherings; }
    /// Asks; `done` is called later, once. Not while it is full.
    void gather(const std::set<voice::NodeId>& nodes, Done done);

    void asked(const voice::AccountsAsked& event);
    void told(const voice::AccountsTold& event);

private:
    struct Gathering {
        std::set<voice::NodeId> waits_for;
        std::set<voice::NodeId> silent;
        std::vector<voice::CallRecord> accounts;
        Done done;
        std::unique_ptr<loop::Timer> patience;
    };
    void finish(std::list<Gathering>::iterator gathering);

    loop::Loop& loop_;
    voice::Proxy& proxy_;
    std::list<Gathering> gatherings_;
};

}  // namespace meshd
