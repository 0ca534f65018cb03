#include "meshctl/daemon.hpp"

#include <unistd.h>
#include <iostream>

#include "loop/clock.hpp"
#include "loop/line_client.hpp"
#include "meshctl/failure.hpp"
#include "meshctl/waiting.hpp"
#include "net/wiped.hpp"

namespace meshctl {

Value Daemon::call(Request& request) {
    auto client = loop::LineClient::connect(path_);
    if (!client) {
        const bool denied = client.error().message.find("no permission") != std::string::npos;
        throw Failure(client.error().message, denied
                                                  ? ""
                                                  : "start it with: systemctl start meshd; or, if it runs with another "
                                                    "socket, name that with --control");
    }
    if (const auto sent = client->send_line(request.line()); !sent) throw Failure(sent.error().message);

    Waiting waiting(loop::read_clocks().steady, ::isatty(STDERR_FILENO) == 1);
    for (;;) {
        auto line = client->receive_line(Waiting::kQuietFor);
        if (!line) {
            std::cerr << waiting.clear();
            throw Failure(line.error().message, "see what it says: journalctl -u meshd");
        }
        if (!*line) {
            std::cerr << waiting.show(loop::read_clocks().steady) << std::flush;
            continue;
        }
        const auto message = Value::parse(**line);
        net::wipe(**line);
        if (message && (*message)["method"].text() == "progress") {
            waiting.set((*message)["params"]["message"].text());
            std::cerr << waiting.show(loop::read_clocks().steady) << std::flush;
            continue;
        }
        std::cerr << waiting.clear() << std::flush;
        if (!message || (!message->has("result") && !message->has("error"))) {
            throw Failure("meshd's answer cannot be understood", "meshd and meshctl may be of different versions");
        }
        if (!message->has("error")) return (*message)["result"];
        const auto error = (*message)["error"];
        throw Failure(error["message"].text(), error["data"]["hint"].text(),
                      static_cast<int>(error["code"].number().value_or(0)));
    }
}

}  // namespace meshctl
