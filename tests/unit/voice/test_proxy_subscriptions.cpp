/// Lamps and presence (SUBSCRIBE, NOTIFY) where the centre does not serve them.
#include <catch2/catch.hpp>

#include <algorithm>

#include "offices.hpp"

using namespace test;
using namespace std::chrono_literals;
using voice::Message;
using voice::NameAddr;
using voice::Uri;

namespace {

/// A lamp: subscribes by alice's phone's account, from an address of its own, and answers what comes.
class Lamp final : public Host {
public:
    Lamp(World& world, const std::string& user, net::Endpoint at, net::Endpoint proxy)
        : world_(world), user_(user), at_(at), proxy_(proxy), transactions_(world.random) {
        world.attach(at, *this);
    }
    /// As the same phone is registered.
    void register_now() {
        auto request = begin("REGISTER", "sip:acme.example");
        request.set_to(NameAddr::of(*Uri::parse("sip:" + user_ + "@acme.example")));
        request.set_expires_s(3600);
        send(request);
    }
    void subscribe(const std::string& event, std::uint32_t expires_s, const std::string& whom = "sip:bob@acme.example",
                   const std::string& accept = {}) {
        auto request = begin("SUBSCRIBE", whom);
        request.set("Event", event);
        request.set_expires_s(expires_s);
        if (!accept.empty()) request.set("Accept", accept);
        first_ = request;
        send(request);
    }
    void refresh(std::uint32_t expires_s) {
        auto request = first_;
        request.set("CSeq", voice::CSeq{++cseq_, "SUBSCRIBE"}.text());
        request.set_to(remote_);
        request.set_uri(target_);
        request.set_expires_s(expires_s);
        request.remove("Authorization");
        if (!routes_.empty()) request.set_addresses("Route", routes_);
        send(request);
    }

    struct Notify {
        net::Steady at;
        std::string state;
        std::string body;
        std::string event;
    };
    std::vector<Notify> notifies;
    std::vector<Message> answers;
    int status = 0;          ///< last, of SUBSCRIBE
    int notify_status = 200;

    void receive(const voice::Flow& flow, net::ByteView bytes, net::Now now) override {
        if (auto message = Message::parse(bytes)) transactions_.receive(std::move(*message), flow, now);
        for (const auto& event : transactions_.take_events()) on(event);
    }
    void tick(net::Now now) override {
        transactions_.tick(now);
        transactions_.take_events();
    }
    net::Steady next_deadline() const override { return transactions_.next_deadline(); }
    std::vector<voice::Outgoing> take_outgoing() override { return transactions_.take_outgoing(); }

private:
    void on(const voice::TransactionEvent& event) {
        if (const auto* arrived = std::get_if<voice::RequestArrived>(&event)) {
            const auto& m = arrived->message;
            const auto text = [&](const char* name) { return std::string(m.get(name).value_or("")); };
            if (m.is("NOTIFY")) notifies.push_back({world_.now.steady, text("Subscription-State"), std::string(m.body()), text("Event")});
            const int answer = m.is("NOTIFY") ? notify_status : 486;
            if (answer != 0) transactions_.respond(arrived->id, Message::response(m, answer, {}, "lamp"), world_.now);
        }
        const auto* answered = std::get_if<voice::ResponseArrived>(&event);
        if (answered == nullptr) return;
        const auto& m = answered->message;
        if (m.status() == 401) {
            auto again = sent_;
            again.set("CSeq", voice::CSeq{++cseq_, m.method()}.text());
            again.set("Authorization", *voice::digest_answer(*m.get("WWW-Authenticate"), user_, "secret", m.method(), again.uri().text(), world_.random));
            return send(again);
        }
        if (m.method() != "SUBSCRIBE" || m.status() < 200) return;
        status = m.status();
        answers.push_back(m);
        if (status != 200 || !m.first_address("Contact")) return;
        remote_ = m.to();
        target_ = m.first_address("Contact")->uri;
        routes_ = m.record_routes();
        std::reverse(routes_.begin(), routes_.end());
    }
    Message begin(std::string_view method, const std::string& uri) {
        auto message = Message::request(method, *Uri::parse(uri));
        auto from = NameAddr::of(*Uri::parse("sip:" + user_ + "@acme.example"));
        from.params.set("tag", transactions_.make_tag());
        message.set_from(from);
        message.set_to(NameAddr::of(*Uri::parse(uri)));
        message.set("Call-ID", transactions_.make_tag() + "@lamp");
        message.set("CSeq", voice::CSeq{++cseq_, std::string(method)}.text());
        message.set_contacts({NameAddr::of(Uri::of(user_, at_))});
        return message;
    }
    void send(const Message& message) {
        sent_ = message;
        transactions_.start(message, {voice::Transport::udp, at_, proxy_, 0, voice::Side::phone}, at_.text(), world_.now);
        world_.flush();
    }

    World& world_;
    std::string user_;
    net::Endpoint at_, proxy_;
    voice::Transactions transactions_;
    std::uint32_t cseq_ = 0;
    Message sent_, first_;
    NameAddr remote_;
    Uri target_;
    std::vector<NameAddr> routes_;
};

struct Lamps : Scene {
    /// In an outage, or without a centre; a lamp in trento, registered for alice.
    explicit Lamps(bool with_centre = true, bool outage = true, const std::function<void(voice::ProxySettings&)>& change = {})
        : Scene(1, with_centre, change), lamp(world, "alice", trento.phone(40), trento.lan()) {
        register_all();
        lamp.register_now();
        world.run(2s);
        if (!outage) return;
        centre.alive = false;
        world.run(10s);
    }
    Lamp lamp;
};

bool has(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("in an outage a lamp shows a colleague's call in another office: it rings, is up, and ends") {
    for (const bool with_centre : {true, false}) {
        Lamps scene(with_centre);
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        REQUIRE(scene.lamp.status == 200);
        CHECK(scene.lamp.answers.back().expires_s() == 300U);
        REQUIRE(scene.lamp.notifies.size() == 1);
        CHECK(scene.lamp.notifies[0].state == "active;expires=300");
        CHECK(has(scene.lamp.notifies[0].body, "version=\"0\" state=\"full\" entity=\"sip:bob@acme.example\""));
        CHECK_FALSE(has(scene.lamp.notifies[0].body, "<dialog id"));
        scene.bob.answer_after = 3s;
        scene.carol.call("sip:bob@acme.example");
        REQUIRE(scene.world.run_until([&] { return scene.carol.count("INVITE", 180) == 1; }, 2s));
        REQUIRE(scene.world.run_until([&] { return scene.lamp.notifies.size() == 2; }, 200ms));
        CHECK(has(scene.lamp.notifies[1].body, "version=\"1\""));
        CHECK(has(scene.lamp.notifies[1].body, "direction=\"recipient\"><state>early</state>"));
        scene.world.run(4s);
        REQUIRE(scene.lamp.notifies.size() == 3);
        CHECK(has(scene.lamp.notifies[2].body, "<state>confirmed</state>"));
        scene.bob.hang_up();
        scene.world.run(2s);
        REQUIRE(scene.lamp.notifies.size() == 4);
        CHECK(has(scene.lamp.notifies[3].body, "<state>terminated</state>"));
        scene.bob.answer_after = 500ms;
        scene.bob.call("sip:carol@acme.example");  // and when he calls himself
        scene.world.run(2s);
        CHECK(has(scene.lamp.notifies.back().body, "direction=\"initiator\"><state>confirmed</state>"));
        scene.bob.hang_up();
        scene.world.run(2s);
        CHECK_FALSE(has(scene.lamp.notifies.back().body, "confirmed"));
        for (const auto& notify : scene.lamp.notifies) CHECK_FALSE(has(notify.body, "carol"));
    }
}

TEST_CASE("a lamp shows a colleague's call in the same office, too") {
    Lamps scene;
    scene.lamp.subscribe("dialog;id=7", 3600, "sip:alice@acme.example");
    scene.world.run(1s);
    scene.carol.call("sip:alice@acme.example");
    scene.world.run(3s);
    REQUIRE(scene.lamp.notifies.size() == 3);
    CHECK(scene.lamp.notifies.back().event == "dialog;id=7");
    CHECK(has(scene.lamp.notifies.back().body, "<state>confirmed</state>"));
    CHECK(scene.lamp.notifies[2].at - scene.lamp.notifies[1].at >= 400ms);
}

TEST_CASE("presence tells whether somebody has a phone anywhere, and is on it") {
    Lamps scene(false);
    scene.lamp.subscribe("presence", 3600, "sip:102@acme.example");  // bob's extension
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == 1);
    CHECK(has(scene.lamp.notifies[0].body, "<basic>open</basic>"));
    scene.carol.call("sip:bob@acme.example");
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "on-the-phone"));
    scene.carol.hang_up();
    scene.world.run(2s);
    CHECK_FALSE(has(scene.lamp.notifies.back().body, "on-the-phone"));
    scene.bob.unregister();
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "<basic>closed</basic>"));
    scene.bob.register_now();
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "<basic>open</basic>"));
}

TEST_CASE("a subscription is refreshed, ended by its phone, fetched once, and over in time") {
    Lamps scene(false);
    scene.lamp.subscribe("dialog", 100);
    scene.world.run(90s);
    REQUIRE(scene.lamp.notifies.size() == 1);
    CHECK(scene.lamp.notifies[0].state == "active;expires=100");
    scene.lamp.refresh(50);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 200);
    REQUIRE(scene.lamp.notifies.size() == 2);
    CHECK(scene.lamp.notifies[1].state == "active;expires=50");
    scene.world.run(50s);
    REQUIRE(scene.lamp.notifies.size() == 3);
    CHECK(scene.lamp.notifies[2].state == "terminated;reason=timeout");
    CHECK(scene.trento.proxy.subscriptions() == 0);
    scene.lamp.refresh(50);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 481);

    scene.lamp.register_now();
    scene.world.run(1s);
    scene.lamp.subscribe("dialog", 100);
    scene.world.run(1s);
    CHECK(scene.lamp.notifies.size() == 4);
    scene.lamp.refresh(0);
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == 5);
    CHECK(scene.lamp.notifies.back().state == "terminated;reason=timeout");
    CHECK(scene.trento.proxy.subscriptions() == 0);

    scene.carol.call("sip:bob@acme.example");
    scene.world.run(2s);
    const auto before = scene.lamp.notifies.size();
    scene.lamp.subscribe("dialog", 0);
    scene.world.run(1s);
    REQUIRE(scene.lamp.notifies.size() == before + 1);
    CHECK(scene.lamp.notifies.back().state == "terminated;reason=timeout");
    CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("what cannot be served is refused as the RFCs say") {
    Lamps scene(false, false);
    const auto answer = [&](const std::string& event, std::uint32_t expires, const std::string& whom, const std::string& accept = {}) {
        scene.lamp.subscribe(event, expires, whom, accept);
        scene.world.run(1s);
        return scene.lamp.status;
    };
    CHECK(answer("dialog", 5, "sip:bob@acme.example") == 423);
    CHECK(scene.lamp.answers.back().get("Min-Expires") == "10");
    CHECK(answer("reg", 100, "sip:bob@acme.example") == 489);
    CHECK(scene.lamp.answers.back().has("Allow-Events"));
    CHECK(answer("dialog", 100, "sip:nobody@acme.example") == 404);
    CHECK(answer("message-summary", 100, "sip:bob@acme.example") == 403);
    CHECK(answer("dialog", 100, "sip:bob@acme.example", "application/pidf+xml") == 406);
    CHECK(answer("dialog", 100, "sip:bob@acme.example", "text/plain, application/dialog-info+xml") == 200);
    CHECK(answer("message-summary", 100, "sip:alice@acme.example") == 200);
    CHECK(has(scene.lamp.notifies.back().body, "Messages-Waiting: no"));
    Lamp stranger(scene.world, "carol", scene.trento.phone(41), scene.trento.lan());  // carol is not registered here
    stranger.subscribe("dialog", 100);
    scene.world.run(1s);
    CHECK(stranger.status == 407);
    CHECK(stranger.notifies.empty());
}

TEST_CASE("a lamp that does not take its NOTIFY is told nothing more") {
    for (const int status : {481, 0}) {
        Lamps scene(false);
        scene.lamp.notify_status = status;
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(33s);
        CHECK(scene.trento.proxy.subscriptions() == 0);
        const auto before = scene.lamp.notifies.size();
        scene.carol.call("sip:bob@acme.example");
        scene.world.run(3s);
        CHECK(scene.lamp.notifies.size() == before);
    }
}

TEST_CASE("what the centre does not serve is served here, and stays") {
    for (const int status : {489, 405, 501}) {
        Lamps scene(true, false);
        scene.centre.subscribe_status = status;
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        CHECK(scene.lamp.status == 200);
        scene.carol.call("sip:bob@acme.example");  // through the centre
        scene.world.run(3s);
        REQUIRE_FALSE(scene.lamp.notifies.empty());
        CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
        scene.world.run(2min);
        CHECK(scene.trento.proxy.subscriptions() == 1);
    }
    Lamps scene(true, false);
    scene.centre.subscribe_status = 403;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    CHECK(scene.lamp.status == 403);
}

TEST_CASE("when the centre is back subscriptions move over to it") {
    Lamps scene;
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    REQUIRE(scene.trento.proxy.subscriptions() == 1);
    scene.centre.alive = true;
    CHECK(scene.world.run_until([&] { return scene.lamp.notifies.back().state == "terminated;reason=deactivated"; }, 70s));
    CHECK(scene.trento.mode() == "central");
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("subscriptions move over to the centre 20 a second") {
    Lamps scene;
    for (int i = 0; i < 60; ++i) {
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(50ms);
    }
    scene.world.run(1s);
    REQUIRE(scene.trento.proxy.subscriptions() == 60);
    scene.centre.alive = true;
    REQUIRE(scene.world.run_until([&] { return scene.trento.proxy.subscriptions() < 60; }, 70s));
    scene.world.run(1s);
    CHECK(scene.trento.proxy.subscriptions() >= 36);
    scene.world.run(3s);
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("a subscription at the centre that dies is answered 481, and taken over") {
    for (const bool known : {false, true}) {
        Lamps scene(true, false);
        scene.centre.subscribe_status = 200;
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        REQUIRE(scene.lamp.status == 200);
        REQUIRE(scene.trento.proxy.subscriptions() == 0);
        scene.centre.alive = false;
        if (known) scene.world.run(10s);
        scene.lamp.refresh(3600);
        scene.world.run(known ? 1s : 8s);
        CHECK(scene.lamp.status == 481);
        scene.lamp.subscribe("dialog", 3600);
        scene.world.run(1s);
        CHECK(scene.lamp.status == 200);
        CHECK(scene.trento.proxy.subscriptions() == 1);
    }
}

TEST_CASE("a user who leaves the mesh is watched no longer") {
    Lamps scene(false);
    scene.lamp.subscribe("presence", 3600);
    scene.world.run(1s);
    scene.roster.users.erase("bob@acme.example");
    scene.lamp.refresh(3600);
    scene.world.run(1s);
    CHECK(scene.lamp.notifies.back().state == "terminated;reason=noresource");
    CHECK(scene.trento.proxy.subscriptions() == 0);
}

TEST_CASE("an office that is out of reach says nothing of its calls any more, and does so again when it is back") {
    Lamps scene(false);
    scene.lamp.subscribe("dialog", 3600);
    scene.world.run(1s);
    scene.carol.call("sip:bob@acme.example");
    scene.world.run(3s);
    CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
    scene.world.cut.insert(scene.munich.overlay_address());
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "terminated"));
    scene.world.cut.clear();
    scene.world.run(2s);
    CHECK(has(scene.lamp.notifies.back().body, "confirmed"));
}

TEST_CASE("only nodes with phones are told of calls") {
    Lamps scene(false);
    const auto send = [&](const voice::Flow& flow) {
        const auto text = "SUBSCRIBE sip:bob@acme.example SIP/2.0\r\nVia: SIP/2.0/UDP " + flow.remote.text() + ";branch=z9hG4bKx\r\n"
                          "Max-Forwards: 70\r\nFrom: <sip:meshd@" + flow.remote.text() + ">;tag=1\r\nTo: <sip:bob@acme.example>\r\n"
                          "Call-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:meshd@" + flow.remote.text() + ">\r\n"
                          "Event: x-meshd-calls\r\nExpires: 90\r\nContent-Length: 0\r\n\r\n";
        scene.munich.receive(flow, net::as_bytes(text), scene.world.now);
        std::string out;
        for (const auto& sent : scene.munich.proxy.take_outgoing()) out += std::string(net::as_text(sent.bytes));
        return out;
    };
    const net::Endpoint overlay{scene.munich.overlay_address(), 5080, 0};
    CHECK(has(send({voice::Transport::udp, overlay, {scene.london.overlay_address(), 5080, 0}, 0, voice::Side::mesh}), "NOTIFY"));
    const auto phone = send({voice::Transport::udp, scene.munich.lan(), scene.munich.phone(99), 0, voice::Side::phone});
    CHECK_FALSE(has(phone, "NOTIFY"));
}
