/// Cuts a byte stream into lines that end with "\n" or "\r\n". What it has held it wipes: there may be secrets in it. The
/// lines that it has given out are the taker's to wipe.
#pragma once

#include <string>

#include "net/bytes.hpp"
#include "net/wiped.hpp"

namespace loop {

class Lines {
public:
    explicit Lines(std::size_t longest_bytes) : longest_bytes_(longest_bytes) {}
    Lines(Lines&&) = default;
    Lines& operator=(Lines&&) = default;
    ~Lines() { net::wipe(waiting_); }

    void add(net::ByteView bytes);
    /// The next whole line without its end, or nullopt. Call until then after each add().
    std::optional<std::string> next();
    /// True, for good, once a line has grown longer than allowed: whoever sends that must be cut off.
    bool overlong() const { return overlong_; }

private:
    std::size_t longest_bytes_;
    std::string waiting_;
    std::size_t taken_ = 0;     ///< before this: lines that have been given out
    std::size_t searched_ = 0;  ///< no line end between taken_ and this
    bool overlong_ = false;
};

}  // namespace loop
