/// What an exit node does for the packets of the others: they leave with its own address. The rules stand in a table of
/// our own, which the program `nft` puts there and takes away in one transaction.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/address.hpp"
#include "net/result.hpp"

namespace meshd {

/// JSON for `nft -j`: in place of what an earlier process left, if it did, a table for what comes by `device` and leaves
/// by another, and does not go to `subnets`, which are behind this node anyway.
std::string masquerade_rules(const std::string& device, const std::vector<net::Prefix>& subnets);
/// And for taking it away, whether it is there or not.
std::string no_masquerade_rules(const std::string& device);

/// Gives `json` to nft by its standard input. Blocks, at most some seconds. The error is what nft said, or that it is
/// missing and what to do.
net::Result<void> run_nft(const std::string& json);

/// Runs nft away from the control thread, what is wanted last at last. Its destructor takes the rules away.
class Masquerade {
public:
    /// `told`: of a failure, on another thread.
    Masquerade(std::string device, std::function<void(const std::string&)> told) : device_(std::move(device)), told_(std::move(told)) {}
    ~Masquerade();
    Masquerade(const Masquerade&) = delete;
    Masquerade& operator=(const Masquerade&) = delete;

    /// An earlier process's rules may be there: set() takes them away, too.
    void left_behind() { on_ = true; }
    /// Waits for the one before, if it is not done yet.
    void set(bool on, const std::vector<net::Prefix>& subnets);

private:
    std::string device_;
    std::function<void(const std::string&)> told_;
    std::thread worker_;
    bool on_ = false;
    std::string rules_;
};

}  // namespace meshd
