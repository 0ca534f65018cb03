/// A control server that plays what a test tells it to, and remembers what it was asked.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "loop/file_descriptor.hpp"

class ScriptedDaemon {
public:
    /// Sends a line to meshctl.
    using Send = std::function<void(const std::string&)>;
    /// Plays the part of meshd for one connection.
    using Part = std::function<void(const nlohmann::json& request, const Send& send)>;

    /// Answers `calls` connections, one after the other.
    explicit ScriptedDaemon(Part part, int calls = 1);
    ~ScriptedDaemon();

    /// Answers every call with this result.
    static Part result(const std::string& json);
    static Part error(int code, const std::string& message, const std::string& hint);

    const std::string& socket() const { return path_; }
    /// The requests, once all calls have been made.
    const std::vector<nlohmann::json>& requests();

private:
    std::string folder_, path_;
    loop::FileDescriptor listener_;
    std::vector<nlohmann::json> requests_;
    std::thread thread_;
};
