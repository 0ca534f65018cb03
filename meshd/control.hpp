/// The control API: JSON-RPC 2.0, a line a message. This is the passive core of it, from a line to its answers; the
/// socket is control_socket.hpp.
///
///   -> {"jsonrpc":"2.0","id":1,"method":"join","params":{"token":"..."}}
///   <- {"jsonrpc":"2.0","method":"progress","params":{"id":1,"message":"asking 198.51.100.7:51820"}}     any number
///   <- {"jsonrpc":"2.0","id":1,"result":{...}}    or    "error":{"code":-32000,"message":"...","data":{"hint":"..."}}
///
/// Calls are answered when they are done, in any order. Batches (arrays) and positional parameters are refused.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "loop/unix_listener.hpp"
#include "net/result.hpp"

namespace meshd {

/// JSON-RPC 2.0 section 5.1, and two of our own.
enum class RpcError : int {
    parse_error = -32700,
    invalid_request = -32600,
    method_not_found = -32601,
    invalid_params = -32602,
    internal_error = -32603,
    failed = -32000,         ///< the method's own reason
    not_permitted = -32001,  ///< the caller may not
};

/// What a method throws to refuse. `what()` is the reason; the hint, if any, what to do next.
class CallRefused : public std::runtime_error {
public:
    explicit CallRefused(const std::string& why, std::string hint = {}, RpcError code = RpcError::failed)
        : std::runtime_error(why), hint_(std::move(hint)), code_(code) {}
    const std::string& hint() const { return hint_; }
    RpcError code() const { return code_; }

private:
    std::string hint_;
    RpcError code_;
};

/// A call's named parameters, read as what they must be. Borrowed until the method returns; secrets in it are wiped
/// then. Every reader throws CallRefused (invalid_params) that names the parameter.
class Params {
public:
    explicit Params(const nlohmann::json& object) : object_(object) {}

    std::string text(const char* name) const;  ///< must be there, and not be empty
    std::string text_or(const char* name, std::string otherwise) const;
    std::optional<std::string> optional_text(const char* name) const;
    std::vector<std::string> texts(const char* name) const;  ///< absent: none
    bool flag(const char* name) const;                       ///< absent: false
    std::int64_t number_or(const char* name, std::int64_t otherwise, std::int64_t min, std::int64_t max) const;

private:
    const nlohmann::json* find(const char* name) const;
    const nlohmann::json& object_;
};

/// Overwrites every text in `value`: passwords and tokens come as texts, and go as such.
void wipe_texts(nlohmann::json& value);

struct ControlCall;

/// The right to answer one call, now or later, once. The connection may have gone by then: answers go nowhere. Whoever
/// drops it unanswered answers with an internal error. Control thread.
class Answer {
public:
    explicit Answer(std::unique_ptr<ControlCall> call);
    Answer(Answer&&) noexcept;
    Answer& operator=(Answer&&) noexcept;
    ~Answer();

    void result(const nlohmann::json& value);
    void refuse(const CallRefused& why);
    void refuse(const net::Error& why) { refuse(CallRefused(why.message)); }
    /// Tells the caller what is being waited for.
    void progress(const std::string& message);
    bool is_wanted() const;  ///< false once the connection has gone

private:
    std::unique_ptr<ControlCall> call_;
};

enum class Access {
    read,   ///< whoever may open the socket
    change  ///< root, and the user that meshd runs as
};

/// Name -> what it takes and does.
class Methods {
public:
    /// Answers before it returns, moves the answer away to give it later, or throws CallRefused.
    using Body = std::function<void(const Params& params, const loop::Credentials& caller, Answer& answer)>;
    struct Method {
        Access access;
        std::vector<std::string> params;  ///< the names that there are; any other is refused
        Body body;
    };
    void add(std::string name, Access access, std::vector<std::string> params, Body body);
    const Method* find(const std::string& name) const;
    std::vector<std::string> names() const;

private:
    std::map<std::string, Method> methods_;
};

/// One connection's calls.
class ControlSession {
public:
    /// `send` gets each outgoing message, a line without its end. `methods` must outlive this.
    ControlSession(const Methods& methods, const loop::Credentials& caller, std::uint32_t own_user_id,
                   std::function<void(std::string_view)> send);
    ~ControlSession();
    ControlSession(const ControlSession&) = delete;
    ControlSession& operator=(const ControlSession&) = delete;

    void receive(std::string_view line);

    static constexpr unsigned kMaxOpenCalls = 32;
    static constexpr unsigned kMaxNesting = 16;

private:
    friend struct ControlCall;
    struct Inner;
    std::shared_ptr<Inner> inner_;
};

}  // namespace meshd
