/// What a notifier says of a user: presence (PIDF, RFC 3863, with RFC 4480's on-the-phone), dialogs (RFC 4235) and message
/// summaries (RFC 3842); and the lines in which one meshd tells another of a user's calls.
///
/// Of a dialog only its state and direction are told: who talks to whom is nobody else's business, and its Call-ID and
/// tags would let others replace it (RFC 4235 section 6).
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "voice/directory.hpp"

namespace voice {

enum class DialogState : std::uint8_t { early, confirmed, terminated };

struct DialogInfo {
    std::string id;  ///< letters and digits; the same as long as the dialog lasts
    bool initiator = false;
    DialogState state = DialogState::early;
    auto operator<=>(const DialogInfo&) const = default;
};

struct UserState {
    bool open = false;  ///< has a phone somewhere
    std::vector<DialogInfo> dialogs;
    bool operator==(const UserState&) const = default;
};

std::string pidf(const Aor& aor, const UserState& state);
std::string dialog_info(const Aor& aor, std::uint32_t version, const std::vector<DialogInfo>& dialogs);
std::string message_summary(const Aor& aor, std::size_t waiting);

inline constexpr std::size_t kMaxDialogs = 32;  ///< that are told of one user

/// A line for each dialog: "ID initiator early".
std::string calls_body(const std::vector<DialogInfo>& dialogs);
std::optional<std::vector<DialogInfo>> parse_calls_body(std::string_view body);

}  // namespace voice
