#include <catch2/catch.hpp>

#include "voice/mailbox.hpp"

using namespace std::chrono_literals;
using voice::Mailbox;
using voice::Message;

namespace {

Message message(const std::string& call_id, const std::string& body = "hello", const std::string& more = {}) {
    const auto text = "MESSAGE sip:bob@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.0.10:5060;branch=z9hG4bK1\r\n"
                      "Max-Forwards: 70\r\nFrom: <sip:alice@acme.example>;tag=a\r\nTo: <sip:bob@acme.example>\r\nCall-ID: " +
                      call_id + "\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n" + more +
                      "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    return *Message::parse(net::as_bytes(text));
}

const net::Now kNow{net::Steady(1000s), net::Wall(1'700'000'000s)};

struct Disk {
    std::map<std::string, net::Bytes> values;
    std::vector<std::uint64_t> write(Mailbox& box) {
        const auto batch = box.take_batch();
        if (!batch) return {};
        for (const auto& [name, value] : batch->values) {
            values[name] = value;
            if (value.empty()) values.erase(name);
        }
        return box.stored(batch->id);
    }
};

}  // namespace

TEST_CASE("a message is handed out only once it is on the disk, the oldest first") {
    Mailbox box({});
    Disk disk;
    const auto first = box.put(message("1"), "alice@x", "bob@x", kNow);
    const auto second = box.put(message("2"), "carol@x", "bob@x", kNow);
    REQUIRE(first);
    REQUIRE(second);
    CHECK(box.first("bob@x") == nullptr);
    CHECK(disk.write(box) == std::vector{*first, *second});
    REQUIRE(box.first("bob@x") != nullptr);
    CHECK(box.first("bob@x")->message.call_id() == "1");
    CHECK(box.has("carol@x", "bob@x"));
    CHECK_FALSE(box.has("bob@x", "carol@x"));
    box.remove(*first);
    CHECK(box.first("bob@x")->message.call_id() == "2");
    box.remove(*second);
    CHECK(box.first("bob@x") == nullptr);
    disk.write(box);
    CHECK(disk.values.empty());
}

TEST_CASE("what was written comes back in its order after a restart, and new ones stand behind it") {
    Disk disk;
    {
        Mailbox box({});
        for (const auto* id : {"1", "2", "3"}) REQUIRE(box.put(message(id), "alice@x", "bob@x", kNow));
        box.note_delivered(message("9"), false, true, kNow);
        box.note_delivered(message("10"), false, false, kNow);
        disk.write(box);
    }
    disk.values["message/broken"] = net::copy(net::as_bytes("x"));
    disk.values["message/0000000000000009"] = net::copy(net::as_bytes("\x01"));
    Mailbox box({});
    box.restore(disk.values, kNow);
    CHECK(box.waiting("bob@x") == 3);
    CHECK(box.first("bob@x")->message.body() == "hello");
    CHECK(box.first("bob@x")->message.call_id() == "1");
    CHECK(box.was_delivered(message("9"), false, kNow));
    CHECK_FALSE(box.was_delivered(message("10"), false, kNow));
    REQUIRE(box.put(message("4"), "alice@x", "bob@x", kNow));
    disk.write(box);
    for (const auto* id : {"1", "2", "3", "4"}) {
        REQUIRE(box.first("bob@x") != nullptr);
        CHECK(box.first("bob@x")->message.call_id() == id);
        box.remove(box.first("bob@x")->id);
    }
    disk.write(box);
    CHECK(disk.values.size() == 1);  // what was delivered; what could not be read is gone
}

TEST_CASE("a message is kept as long as its Expires says, at most for the time that is set") {
    Mailbox box({.keep = 3600s});
    REQUIRE(box.put(message("short", "x", "Expires: 60\r\n"), "alice@x", "bob@x", kNow));
    REQUIRE(box.put(message("long", "x", "Expires: 999999\r\n"), "alice@x", "bob@x", kNow));
    CHECK(box.put(message("none", "x", "Expires: 0\r\n"), "alice@x", "bob@x", kNow).error() == Mailbox::Refusal::expired);
    box.expire(kNow.wall + 59s);
    CHECK(box.size() == 2);
    box.expire(kNow.wall + 60s);
    CHECK(box.size() == 1);
    box.expire(kNow.wall + 3600s);
    CHECK(box.size() == 0);
    Mailbox other({});
    Disk disk;
    REQUIRE(other.put(message("1", "x", "Expires: 60\r\n"), "alice@x", "bob@x", kNow));
    disk.write(other);
    Mailbox after({});
    after.restore(disk.values, {kNow.steady, kNow.wall + 61s});
    CHECK(after.size() == 0);
    disk.write(after);
    CHECK(disk.values.empty());
}

TEST_CASE("messages are bounded for a callee, for a caller, in number and in bytes") {
    Mailbox box({.per_callee = 2, .per_caller = 3, .all = 4, .message_bytes = 600});
    CHECK(box.put(message("big", std::string(600, 'x')), "alice@x", "bob@x", kNow).error() == Mailbox::Refusal::too_large);
    REQUIRE(box.put(message("1"), "alice@x", "bob@x", kNow));
    REQUIRE(box.put(message("2"), "alice@x", "bob@x", kNow));
    CHECK(box.put(message("3"), "carol@x", "bob@x", kNow).error() == Mailbox::Refusal::callee_full);
    REQUIRE(box.put(message("4"), "alice@x", "dave@x", kNow));
    CHECK(box.put(message("5"), "alice@x", "erin@x", kNow).error() == Mailbox::Refusal::caller_full);
    REQUIRE(box.put(message("6"), "carol@x", "erin@x", kNow));
    CHECK(box.put(message("7"), "carol@x", "frank@x", kNow).error() == Mailbox::Refusal::full);
    Mailbox narrow({.all_bytes = 500});
    REQUIRE(narrow.put(message("1"), "alice@x", "bob@x", kNow));
    CHECK(narrow.put(message("2"), "alice@x", "bob@x", kNow).error() == Mailbox::Refusal::full);
}

TEST_CASE("of what was delivered the latest are remembered") {
    Mailbox box({.delivered = 2});
    Disk disk;
    for (const auto* id : {"1", "2", "3"}) box.note_delivered(message(id), false, true, kNow);
    CHECK_FALSE(box.was_delivered(message("1"), false, kNow));
    CHECK(box.was_delivered(message("3"), false, kNow));
    CHECK_FALSE(box.was_delivered(message("3"), false, {kNow.steady, kNow.wall + 8 * 24h}));
    disk.write(box);
    CHECK(disk.values.size() == 2);
}
