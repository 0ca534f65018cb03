/// What name servers said, as the store keeps it over a restart: for when DNS is dead then. Bounded, the oldest go first.
#pragma once

#include <map>

#include "net/bytes.hpp"
#include "net/time.hpp"
#include "voice/dns.hpp"

namespace meshd {

class SavedAnswers {
public:
    static constexpr std::size_t kMax = 512;
    static constexpr auto kWriteEvery = std::chrono::minutes(10);  ///< an answer that comes again is not written sooner
    static constexpr std::string_view kPrefix = "dns:";

    /// Values to be written by their names; an empty one deletes.
    std::map<std::string, net::Bytes> keep(const voice::DnsQuestion& question, net::ByteView message, net::Wall now);

    struct Saved {
        voice::DnsQuestion question;
        net::Bytes message;
        net::Wall at;
    };
    /// Once, before any keep(): what the store has. What cannot be read is left out.
    std::vector<Saved> restore(const std::map<std::string, net::Bytes>& values);

private:
    std::map<std::string, net::Wall> written_;
};

}  // namespace meshd
