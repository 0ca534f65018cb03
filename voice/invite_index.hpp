/// INVITEs outside a dialog by their name: Call-ID, From tag and CSeq, which no proxy changes (RFC 3261 section 16.6). All
/// copies of one have it in common: those for several phones, and those that come by two ways.
#pragma once

#include <unordered_map>

#include "voice/message.hpp"
#include "voice/transaction.hpp"

namespace voice {

class InviteIndex {
public:
    static std::string name_of(const Message& invite);

    void add(const Message& invite, ServerId id);
    void remove(const Message& invite, ServerId id);
    /// Those of the same name, in the order in which they were added.
    std::vector<ServerId> copies_of(const Message& invite) const;
    std::size_t names() const { return by_name_.size(); }

private:
    std::unordered_map<std::string, std::vector<ServerId>> by_name_;
};

}  // namespace voice
