/// How a command ends other than well.
#pragma once

#include <stdexcept>
#include <string>

namespace meshctl {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// It was asked for and could not be done: why, and what to do next.
class Failure : public std::runtime_error {
public:
    explicit Failure(const std::string& why, std::string hint = {}, int code = 0)
        : std::runtime_error(why), hint_(std::move(hint)), code_(code) {}
    const std::string& hint() const { return hint_; }
    int code() const { return code_; }  ///< JSON-RPC's, 0 if meshd was not the one to refuse

private:
    std::string hint_;
    int code_;
};

/// It was asked for in a way that nobody understands: what is wrong with the command line.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace meshctl
