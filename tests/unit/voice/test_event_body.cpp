#include <catch2/catch.hpp>

#include "voice/event_body.hpp"

using namespace voice;
using Catch::Matchers::Contains;

namespace {

const std::vector<DialogInfo> kTwo = {{"d1", true, DialogState::early}, {"d2", false, DialogState::confirmed}};

}  // namespace

TEST_CASE("presence says whether somebody has a phone, and whether he is on it") {
    CHECK_THAT(pidf("bob@x", {false, {}}), Contains("<basic>closed</basic>") && !Contains("on-the-phone"));
    CHECK_THAT(pidf("bob@x", {true, {}}), Contains("<basic>open</basic>") && !Contains("on-the-phone"));
    CHECK_THAT(pidf("bob@x", {true, kTwo}), Contains("<rpid:on-the-phone/>"));
    CHECK_THAT(pidf("b\"<o>&b@x", {}), Contains("entity=\"sip:b&quot;&lt;o&gt;&amp;b@x\""));
}

TEST_CASE("dialog information has a version, each dialog's state and direction, and nobody's name") {
    const auto text = dialog_info("bob@x", 7, kTwo);
    CHECK_THAT(text, Contains("version=\"7\"") && Contains("state=\"full\"") && Contains("entity=\"sip:bob@x\""));
    CHECK_THAT(text, Contains("<dialog id=\"d1\" direction=\"initiator\"><state>early</state></dialog>"));
    CHECK_THAT(text, Contains("<dialog id=\"d2\" direction=\"recipient\"><state>confirmed</state></dialog>"));
}

TEST_CASE("a message summary counts what waits") {
    CHECK_THAT(message_summary("bob@x", 0), Contains("Messages-Waiting: no\r\n") && Contains("Voice-Message: 0/0"));
    CHECK_THAT(message_summary("bob@x", 2), Contains("Messages-Waiting: yes\r\n") && Contains("Text-Message: 2/0"));
}

TEST_CASE("the lines that tell of calls are read as they were written, and all else is refused") {
    CHECK(parse_calls_body(calls_body(kTwo)) == kTwo);
    CHECK(parse_calls_body("") == std::vector<DialogInfo>());
    for (const auto* bad : {"d1 initiator early", "d1 initiator\r\n", "d1 both early\r\n", "d1 initiator over\r\n", " initiator early\r\n",
                            "d\"1 initiator early\r\n", "d1 initiator early more\r\n", "\r\n",
                            "d11111111111111111111111111111111 initiator early\r\n"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_calls_body(bad));
    }
    std::string many;
    for (std::size_t i = 0; i <= kMaxDialogs; ++i) many += "d" + std::to_string(i) + " initiator early\r\n";
    CHECK_FALSE(parse_calls_body(many));
}
