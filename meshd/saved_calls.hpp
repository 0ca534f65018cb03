/// Call records as the store keeps them, and as the control API tells them: in JSON either way, so that fields may come
/// and go between versions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "net/bytes.hpp"
#include "voice/call_record.hpp"

namespace meshd {

inline constexpr std::string_view kCallPrefix = "call:";
std::string name_of_saved_call(std::uint64_t number);  ///< the store's value; by name they are in the order of their numbers

net::Bytes to_value(const voice::CallRecord& record);
/// Nullopt if it cannot be read; what is missing in it is left as it is by default.
std::optional<voice::CallRecord> saved_call(net::ByteView value);

/// Accounts on their way from node to node; of what comes, what cannot be read is left out.
std::string accounts_text(const std::vector<voice::CallRecord>& records);
std::vector<voice::CallRecord> accounts_of(std::string_view text);

nlohmann::json streams_json(const std::vector<voice::StreamFigures>& streams);
/// Where a call's media goes, once it is answered: "anchored" or "direct"; empty before. Of what goes past this node there
/// are no figures.
std::string_view media_of(bool answered, const std::vector<voice::StreamFigures>& streams);
/// Why there are no figures, in words; or empty.
std::string_view not_measured(std::string_view media);
/// All that is kept of it, and told to other nodes.
nlohmann::json call_json(const voice::CallRecord& record);
/// And for people what follows from that: where its media went.
nlohmann::json shown_json(const voice::CallRecord& record);

}  // namespace meshd
