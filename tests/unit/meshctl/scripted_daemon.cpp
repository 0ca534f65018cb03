#include "scripted_daemon.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "loop/lines.hpp"

ScriptedDaemon::ScriptedDaemon(Part part, int calls) {
    char name[] = "/tmp/meshctl-test-XXXXXX";
    if (mkdtemp(name) == nullptr) throw std::runtime_error("no scratch folder");
    folder_ = name;
    path_ = folder_ + "/control.sock";
    listener_ = loop::FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 4) != 0) {
        throw std::runtime_error("cannot listen");
    }
    thread_ = std::thread([this, part = std::move(part), calls] {
        for (int i = 0; i < calls; ++i) {
            const loop::FileDescriptor connection(::accept(listener_.get(), nullptr, nullptr));
            if (!connection.is_open()) return;
            loop::Lines lines(1 << 20);
            std::optional<std::string> line;
            while (!(line = lines.next())) {
                std::byte buffer[4096];
                const auto size = ::recv(connection.get(), buffer, sizeof buffer, 0);
                if (size <= 0) break;
                lines.add(net::ByteView(buffer, static_cast<std::size_t>(size)));
            }
            if (!line) continue;
            requests_.push_back(nlohmann::json::parse(*line));
            part(requests_.back(), [&](const std::string& text) {
                const auto out = text + "\n";
                if (::send(connection.get(), out.data(), out.size(), MSG_NOSIGNAL) < 0) return;
            });
        }
    });
}

ScriptedDaemon::~ScriptedDaemon() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

const std::vector<nlohmann::json>& ScriptedDaemon::requests() {
    if (thread_.joinable()) thread_.join();
    return requests_;
}

ScriptedDaemon::Part ScriptedDaemon::result(const std::string& json) {
    return [json](const nlohmann::json& request, const Send& send) {
        send(nlohmann::json{{"jsonrpc", "2.0"}, {"id", request["id"]}, {"result", nlohmann::json::parse(json)}}.dump());
    };
}

ScriptedDaemon::Part ScriptedDaemon::error(int code, const std::string& message, const std::string& hint) {
    return [=](const nlohmann::json& request, const Send& send) {
        nlohmann::json error{{"code", code}, {"message", message}, {"data", {{"hint", hint}}}};
        send(nlohmann::json{{"jsonrpc", "2.0"}, {"id", request["id"]}, {"error", error}}.dump());
    };
}
