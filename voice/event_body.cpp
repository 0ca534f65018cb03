#include "voice/event_body.hpp"

#include <algorithm>

namespace voice {

namespace {

constexpr std::string_view kXml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n";

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string_view name_of(DialogState state) {
    switch (state) {
        case DialogState::early:
            return "early";
        case DialogState::confirmed:
            return "confirmed";
        case DialogState::terminated:
            return "terminated";
    }
    return "";
}

std::string_view direction_of(const DialogInfo& dialog) {
    return dialog.initiator ? "initiator" : "recipient";
}

std::string_view word(std::string_view& line) {
    const auto found = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(line.size(), found.size() + 1));
    return found;
}

}  // namespace

std::string pidf(const Aor& aor, const UserState& state) {
    std::string out(kXml);
    out += "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" "
           "xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"sip:" + escaped(aor) + "\">\r\n";
    out += std::string("<tuple id=\"phone\"><status><basic>") + (state.open ? "open" : "closed") + "</basic></status></tuple>\r\n";
    if (!state.dialogs.empty()) {
        out += "<dm:person id=\"person\"><rpid:activities><rpid:on-the-phone/></rpid:activities></dm:person>\r\n";
    }
    return out + "</presence>\r\n";
}

std::string dialog_info(const Aor& aor, std::uint32_t version, const std::vector<DialogInfo>& dialogs) {
    std::string out(kXml);
    out += "<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"" + std::to_string(version) +
           "\" state=\"full\" entity=\"sip:" + escaped(aor) + "\">\r\n";
    for (const auto& dialog : dialogs) {
        out += "<dialog id=\"" + dialog.id + "\" direction=\"" + std::string(direction_of(dialog)) + "\"><state>" +
               std::string(name_of(dialog.state)) + "</state></dialog>\r\n";
    }
    return out + "</dialog-info>\r\n";
}

std::string message_summary(const Aor& aor, std::size_t waiting) {
    std::string out = std::string("Messages-Waiting: ") + (waiting > 0 ? "yes" : "no") + "\r\nMessage-Account: sip:" + aor + "\r\n";
    if (waiting > 0) out += "Text-Message: " + std::to_string(waiting) + "/0 (0/0)\r\n";
    return out + "Voice-Message: 0/0 (0/0)\r\n";
}

std::string calls_body(const std::vector<DialogInfo>& dialogs) {
    std::string out;
    for (const auto& dialog : dialogs) {
        out += dialog.id + ' ' + std::string(direction_of(dialog)) + ' ' + std::string(name_of(dialog.state)) + "\r\n";
    }
    return out;
}

std::optional<std::vector<DialogInfo>> parse_calls_body(std::string_view body) {
    std::vector<DialogInfo> out;
    while (!body.empty()) {
        const auto end = body.find("\r\n");
        if (end == std::string_view::npos || out.size() == kMaxDialogs) return std::nullopt;
        auto line = body.substr(0, end);
        body.remove_prefix(end + 2);
        const auto id = word(line), direction = word(line), state = word(line);
        const bool plain = std::all_of(id.begin(), id.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        });
        if (id.empty() || id.size() > 32 || !plain || !line.empty()) return std::nullopt;
        if (direction != "initiator" && direction != "recipient") return std::nullopt;
        if (state != "early" && state != "confirmed") return std::nullopt;
        out.push_back({std::string(id), direction == "initiator", state == "early" ? DialogState::early : DialogState::confirmed});
    }
    return out;
}

}  // namespace voice
