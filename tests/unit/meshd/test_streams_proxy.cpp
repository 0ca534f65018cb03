#include "meshd/http_proxy.hpp"
#include "streams_ground.hpp"

using namespace test;

namespace {

/// A proxy that says what it is told to, and joins what it lets through to the server.
struct Proxy {
    explicit Proxy(Ground& ground)
        : loop(ground.loop), target(ground.at()), listener(loop, {net::IpAddress::v4(127, 0, 0, 1), 0}, [this](std::unique_ptr<loop::Stream> stream) { accept(std::move(stream)); }) {}

    void accept(std::unique_ptr<loop::Stream> stream) {
        auto& near = *streams.emplace_back(std::move(stream));
        const auto number = streams.size() - 1;
        near.start({nullptr,
                    [this, &near, number](net::ByteView bytes) {
                        if (joined.contains(number)) return void(joined[number]->write(bytes));
                        requests.resize(std::max(requests.size(), number + 1));
                        auto& request = requests[number];
                        request += net::as_text(bytes);
                        if (!request.ends_with("\r\n\r\n")) return;
                        near.write(net::as_bytes(answer));
                        if (answer.find(" 200 ") != answer.npos) join(near, number);
                    },
                    [this, number](const loop::Closed&) {
                        if (joined.contains(number)) joined[number]->close();
                    },
                    nullptr});
    }
    void join(loop::Stream& near, std::size_t number) {
        joined[number] = loop::Stream::connect_tcp(
            loop, target, {nullptr, [&near](net::ByteView bytes) { near.write(bytes); }, [&near](const loop::Closed&) { near.close(); }, nullptr});
    }

    loop::Loop& loop;
    net::Endpoint target;
    std::string answer = "HTTP/1.1 200 OK\r\n\r\n";
    std::vector<std::string> requests;
    std::vector<std::unique_ptr<loop::Stream>> streams;
    std::map<std::size_t, std::unique_ptr<loop::Stream>> joined;
    loop::TcpListener listener;
};

struct Behind : Ground {
    explicit Behind(const std::string& user = {}, net::Duration within = 6s) {
        meshd::Streams::Settings settings;
        const auto& at = proxy.listener.local();
        settings.proxy = meshd::parse_http_proxy("http://" + user + at.text());
        settings.proxied_within = within;
        client = std::make_unique<End>(loop, std::move(settings));
        client->forbidden = this->at().address;  // straight it does not go
        client->answers = false;
    }
    std::string fails() {
        const auto before = client->closed.size();
        client->streams.dial(at());
        run_until([&] { return client->closed.size() > before; });
        return client->closed.back().second;
    }
    std::string by_proxy(const std::string& why) const {
        return "straight: its address is inside the mesh; by the proxy at " + proxy.listener.local().text() + ": " + why;
    }
    Proxy proxy{*this};
};

}  // namespace

TEST_CASE("where it does not go straight a stream goes through the proxy, both its connections") {
    Behind behind("alice:open%20sesame@");
    const auto id = behind.open();
    CHECK(behind.client->streams.is_proxied(id));
    REQUIRE(behind.proxy.requests.size() == 2);
    const auto target = behind.at().text();
    for (const auto& request : behind.proxy.requests) {
        CHECK(request == "CONNECT " + target + " HTTP/1.1\r\nHost: " + target +
                             "\r\nProxy-Authorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=\r\n\r\n");
    }
    for (const bool bulk : {false, true}) {
        behind.client->streams.send(id, datagram(7, 1400), bulk);
        behind.run_until([&] { return !behind.server->came.empty(); });
        CHECK(behind.server->came.front() == datagram(7, 1400));
        behind.server->came.clear();
    }
    // The next is not tried straight first: a proxy that fails is told of alone.
    behind.client->streams.close(id);
    behind.proxy.answer = "HTTP/1.1 502 Bad Gateway\r\n\r\n";
    CHECK(behind.fails() == "by the proxy at " + behind.proxy.listener.local().text() + ": the proxy has no connection to " +
                                target + " (502 Bad Gateway); straight: its address is inside the mesh");
}

TEST_CASE("a proxy that refuses, or is none, is told of with its reason") {
    Behind behind;
    behind.proxy.answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
    CHECK(behind.fails() == behind.by_proxy("the proxy wants a user's name and password (407)"));
    CHECK(behind.proxy.requests.front().find("Authorization") == std::string::npos);
    behind.proxy.answer = "HTTP/1.1 403 Forbidden\r\n\r\n";
    CHECK(behind.fails() == behind.by_proxy("the proxy does not allow connections to " + behind.at().text() + " (403 Forbidden)"));
    behind.proxy.answer = "220 mail.example ESMTP\r\n";
    CHECK(behind.fails() == behind.by_proxy("what answers there is no HTTP proxy"));
    behind.proxy.answer = "HTTP/1.1 200 OK\r\n\r\n<html>welcome";
    CHECK(behind.fails() == behind.by_proxy("the proxy says more than its answer"));
    CHECK(behind.client->streams.connections() == 0);
    CHECK(behind.client->streams.counters().dials_failed == 4);
}

TEST_CASE("a proxy that answers nothing is given up in time") {
    Behind behind({}, 300ms);
    behind.proxy.answer = "";
    CHECK(behind.fails() == behind.by_proxy("no answer"));
    CHECK(behind.client->streams.connections() == 0);
}

TEST_CASE("a wrong password is told, and not repeated") {
    Behind behind("alice:pots-and-pans@");
    behind.proxy.answer = "HTTP/1.1 407 no\r\n\r\n";
    const auto why = behind.fails();
    CHECK(why == behind.by_proxy("the proxy refuses the user's name or password (407)"));
    CHECK(why.find("pots") == std::string::npos);
}

TEST_CASE("bulk goes by the first connection where its own is lost, until that is dialled anew") {
    Behind behind;
    const auto id = behind.open();
    const auto there = behind.server->opened.front().first;
    const auto passes = [&](std::uint8_t mark) {
        behind.server->came.clear();
        behind.client->came.clear();
        behind.client->streams.send(id, datagram(mark), true);
        behind.server->streams.send(there, datagram(mark), true);
        behind.run_until([&] { return !behind.server->came.empty() && !behind.client->came.empty(); });
        CHECK(behind.server->came.front() == datagram(mark));
        CHECK(behind.client->came.front() == datagram(mark));
    };
    passes(1);
    behind.proxy.streams[1]->close();
    behind.proxy.joined[1]->close();
    behind.run_until([&] { return behind.client->streams.connections() == 1 && behind.server->streams.connections() == 1; });
    passes(2);
    behind.run_until([&] { return behind.server->streams.connections() == 2; });
    passes(3);
    // Without the first it is over.
    behind.proxy.streams[0]->close();
    behind.proxy.joined[0]->close();
    behind.run_until([&] { return !behind.client->closed.empty() && !behind.server->closed.empty(); });
    behind.run_until([&] { return behind.client->streams.connections() + behind.server->streams.connections() == 0; });
}
