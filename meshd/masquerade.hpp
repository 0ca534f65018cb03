/// What an exit node does for the packets of the others: they leave with its own address. The rules stand in a table of
/// our own, which the program `nft` puts there and takes away in one transaction.
///
/// Other programs flush what is not theirs (a restart of nftables.service does), so the table is compared with what it was
/// after every change in nftables, and now and then where there is no news of those, and put back.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "loop/file_descriptor.hpp"
#include "net/address.hpp"
#include "net/result.hpp"

namespace meshd {

/// JSON for `nft -j`: in place of what an earlier process left, if it did, a table for what comes by `device` and leaves
/// by another, and does not go to `subnets`, which are behind this node anyway.
std::string masquerade_rules(const std::string& device, const std::vector<net::Prefix>& subnets);
/// And for taking it away, whether it is there or not.
std::string no_masquerade_rules(const std::string& device);

/// Runs nft on a thread of its own: no function waits for it, but the destructor, which takes the rules away.
class Masquerade {
public:
    struct Settings {
        /// As run_nft(), on that thread.
        std::function<net::Result<std::string>(const std::vector<std::string>& words, const std::string& input, int stop)> nft;
        /// What went wrong, or was mended, in a sentence; on that thread.
        std::function<void(const std::string&)> told;
        std::chrono::milliseconds look_every = std::chrono::seconds(30);
        std::chrono::milliseconds rest = std::chrono::seconds(1);  ///< between two looks at least, whatever the news
    };

    Masquerade(std::string device, Settings settings);
    ~Masquerade();
    Masquerade(const Masquerade&) = delete;
    Masquerade& operator=(const Masquerade&) = delete;

    /// An earlier process's rules may be there: set() takes them away, too.
    void left_behind() { left_behind_ = true; }
    /// What is wanted from now on. Of several before the thread comes to them, the last counts.
    void set(bool on, const std::vector<net::Prefix>& subnets);
    /// What a person should know, in a sentence: the rules cannot be put there, or were taken away within the last hour. Empty: all
    /// is well.
    std::string trouble() const;

private:
    void run();
    void apply();
    void look();
    void note(const std::string& failure);

    std::string device_;
    Settings settings_;
    bool left_behind_ = false;
    loop::FileDescriptor wake_, stop_;  ///< eventfds: readable once something is wanted, and once the thread is to end

    mutable std::mutex mutex_;
    std::string wanted_;  ///< rules; empty: none
    std::string failure_;
    unsigned mended_ = 0;
    std::chrono::steady_clock::time_point mended_at_{};

    // The thread's own.
    std::string rules_;   ///< that should stand; empty: none
    std::string stands_;  ///< as nft showed them; empty: they do not stand
    bool may_stand_ = false;
    loop::FileDescriptor news_;
    std::thread thread_;
};

}  // namespace meshd
