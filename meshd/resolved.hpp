/// Tells systemd-resolved which names this node answers, as routing-only domains of the TUN device: it then asks here for
/// those names and for no others. What it was told goes with the device, after a crash too. It is never started by us.
/// Control thread only.
///
///            no bus, no service                    refused
///   absent <-------------------- asking --------------------> refused
///     |  ^                       ^    |                          |
///     |  +-- it ends,    |       |    | all answers              | after a while
///     |   or no server   |       |    | (the servers' last)      |
///     +-- it starts, or  |       |    v                          |
///         after a while -|-------+   told <--- another wish      |
///                        +-------+----+--------------------------+
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "loop/loop.hpp"
#include "net/address.hpp"

namespace meshd {

class Resolved {
public:
    enum class State : std::uint8_t {
        absent,  ///< it does not run here, or there is no D-Bus in this network namespace, or it has nothing to be told
        asking,
        told,
        refused  ///< all was taken back
    };
    struct Wish {
        std::vector<net::IpAddress> servers;  ///< none: nothing of ours
        std::uint16_t port = 53;
        std::vector<std::string> domains;     ///< kMaxDomains count
        bool operator==(const Wish&) const = default;
    };
    static constexpr std::size_t kMaxDomains = 200;  // resolved takes 256 a link
    static constexpr auto kTryAgain = std::chrono::seconds(60);

    /// `changed` is called when the state has.
    Resolved(loop::Loop& loop, int device, std::function<void()> changed);
    /// Takes back what it was told.
    ~Resolved();
    Resolved(const Resolved&) = delete;
    Resolved& operator=(const Resolved&) = delete;

    void want(Wish wish);
    State state() const;
    const std::string& why() const;  ///< of absent and refused, for people

private:
    struct Inner;
    std::unique_ptr<Inner> inner_;
};

std::string_view name_of(Resolved::State state);

}  // namespace meshd
