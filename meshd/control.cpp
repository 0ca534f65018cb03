#include "meshd/control.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "net/wiped.hpp"

namespace meshd {

using nlohmann::json;

void wipe_texts(json& value) {
    if (value.is_string()) {
        net::wipe(value.get_ref<std::string&>());
    } else if (value.is_structured()) {
        for (auto& element : value) wipe_texts(element);
    }
}

struct ControlSession::Inner {
    const Methods& methods;
    loop::Credentials caller;
    std::uint32_t own_user_id;
    std::function<void(std::string_view)> send_line;
    unsigned open_calls = 0;

    // Text from outside (a phone's name for itself) need not be UTF-8; an answer must be.
    void send(json message) const {
        auto line = message.dump(-1, ' ', false, json::error_handler_t::replace);
        wipe_texts(message);
        const net::WipedAtEnd wiped(line);
        send_line(line);
    }
    void error(const json& id, RpcError code, const std::string& message, const std::string& hint = {}) const {
        json error{{"code", static_cast<int>(code)}, {"message", message}};
        if (!hint.empty()) error["data"] = {{"hint", hint}};
        send({{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(error)}});
    }
    bool may_change() const { return caller.user_id == 0 || caller.user_id == own_user_id; }
};

struct ControlCall {
    std::weak_ptr<ControlSession::Inner> session;
    std::optional<json> id;  ///< nullopt: a notification, which is never answered
};

namespace {

/// Whether brackets outside of strings nest deeper than `max`; looked at before anything is built from them.
bool nests_deeper_than(std::string_view text, unsigned max) {
    unsigned depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > max) return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return false;
}

struct TextsWipedAtEnd {
    json& value;
    ~TextsWipedAtEnd() { wipe_texts(value); }
};

CallRefused bad_param(const std::string& name, const std::string& must) {
    return CallRefused("the parameter \"" + name + "\" " + must, {}, RpcError::invalid_params);
}

}  // namespace

const json* Params::find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> Params::optional_text(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) throw bad_param(name, "must be a text");
    return value->get<std::string>();
}

std::string Params::text(const char* name) const {
    auto value = optional_text(name);
    if (!value || value->empty()) throw bad_param(name, "is missing");
    return std::move(*value);
}

std::string Params::text_or(const char* name, std::string otherwise) const {
    return optional_text(name).value_or(std::move(otherwise));
}

std::vector<std::string> Params::texts(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr) return {};
    if (!value->is_array() || !std::all_of(value->begin(), value->end(), [](const json& e) { return e.is_string(); })) {
        throw bad_param(name, "must be a list of texts");
    }
    return value->get<std::vector<std::string>>();
}

bool Params::flag(const char* name) const {
    const auto* value = find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) throw bad_param(name, "must be true or false");
    return value->get<bool>();
}

std::int64_t Params::number_or(const char* name, std::int64_t otherwise, std::int64_t min, std::int64_t max) const {
    const auto* value = find(name);
    if (value == nullptr) return otherwise;
    const bool too_large = value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX;
    if (!value->is_number_integer() || too_large || value->get<std::int64_t>() < min ||
        value->get<std::int64_t>() > max) {
        throw bad_param(name, "must be a number from " + std::to_string(min) + " to " + std::to_string(max));
    }
    return value->get<std::int64_t>();
}

Answer::Answer(std::unique_ptr<ControlCall> call) : call_(std::move(call)) {}
Answer::Answer(Answer&&) noexcept = default;

Answer& Answer::operator=(Answer&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
}

Answer::~Answer() {
    if (call_) refuse(CallRefused("meshd dropped this call unanswered", {}, RpcError::internal_error));
}

void Answer::result(const json& value) {
    const auto call = std::move(call_);
    const auto session = call ? call->session.lock() : nullptr;
    if (!session) return;
    --session->open_calls;
    if (call->id) session->send({{"jsonrpc", "2.0"}, {"id", *call->id}, {"result", value}});
}

void Answer::refuse(const CallRefused& why) {
    const auto call = std::move(call_);
    const auto session = call ? call->session.lock() : nullptr;
    if (!session) return;
    --session->open_calls;
    if (call->id) session->error(*call->id, why.code(), why.what(), why.hint());
}

void Answer::progress(const std::string& message) {
    const auto session = call_ ? call_->session.lock() : nullptr;
    if (!session || !call_->id) return;
    session->send({{"jsonrpc", "2.0"}, {"method", "progress"}, {"params", {{"id", *call_->id}, {"message", message}}}});
}

bool Answer::is_wanted() const {
    return call_ && !call_->session.expired();
}

void Methods::add(std::string name, Access access, std::vector<std::string> params, Body body) {
    methods_[std::move(name)] = {access, std::move(params), std::move(body)};
}

const Methods::Method* Methods::find(const std::string& name) const {
    const auto found = methods_.find(name);
    return found == methods_.end() ? nullptr : &found->second;
}

std::vector<std::string> Methods::names() const {
    std::vector<std::string> out;
    for (const auto& [name, method] : methods_) out.push_back(name);
    return out;
}

ControlSession::ControlSession(const Methods& methods, const loop::Credentials& caller, std::uint32_t own_user_id,
                               std::function<void(std::string_view)> send)
    : inner_(std::make_shared<Inner>(Inner{methods, caller, own_user_id, std::move(send)})) {}

ControlSession::~ControlSession() = default;

void ControlSession::receive(std::string_view line) {
    const auto session = inner_;  // an answer's failure to go out may end the connection and this object
    if (nests_deeper_than(line, kMaxNesting)) {
        return session->error(nullptr, RpcError::parse_error, "nested too deeply");
    }
    auto request = json::parse(line, nullptr, /*allow_exceptions=*/false);
    const TextsWipedAtEnd wiped{request};
    if (request.is_discarded()) return session->error(nullptr, RpcError::parse_error, "this line is not JSON");

    const auto id = request.is_object() && request.contains("id") ? std::optional<json>(request["id"]) : std::nullopt;
    const auto invalid = [&](const char* what) {
        const bool usable = id && (id->is_string() || id->is_number());
        session->error(usable ? *id : json(nullptr), RpcError::invalid_request, what);
    };
    if (!request.is_object()) return invalid("a request is one object; batches are not supported");
    if (request.value("jsonrpc", json()) != "2.0") return invalid("\"jsonrpc\" must be \"2.0\"");
    if (!request.contains("method") || !request["method"].is_string()) return invalid("\"method\" must be a text");
    if (id && !id->is_string() && !id->is_number() && !id->is_null())
        return invalid("\"id\" must be a text or a number");
    if (session->open_calls >= kMaxOpenCalls) return invalid("too many calls are open on this connection");

    ++session->open_calls;
    Answer answer(std::make_unique<ControlCall>(ControlCall{session, id}));
    const auto name = request["method"].get<std::string>();
    const auto* method = session->methods.find(name);
    if (method == nullptr) {
        return answer.refuse(CallRefused("there is no method \"" + name + "\"",
                                         "meshd and meshctl may be of different versions", RpcError::method_not_found));
    }
    if (method->access == Access::change && !session->may_change()) {
        return answer.refuse(CallRefused("only root, and the user that meshd runs as, may do this",
                                         "run it again with sudo", RpcError::not_permitted));
    }
    const json none = json::object();
    const json& params = request.contains("params") && !request["params"].is_null() ? request["params"] : none;
    if (!params.is_object()) {
        return answer.refuse(CallRefused("\"params\" must be an object", {}, RpcError::invalid_params));
    }
    for (const auto& [key, value] : params.items()) {
        if (std::find(method->params.begin(), method->params.end(), key) != method->params.end()) continue;
        return answer.refuse(CallRefused("\"" + name + "\" has no parameter \"" + key + "\"",
                                         "meshd and meshctl may be of different versions", RpcError::invalid_params));
    }
    try {
        method->body(Params(params), session->caller, answer);
    } catch (const CallRefused& why) {
        answer.refuse(why);
    } catch (const std::exception& error) {
        answer.refuse(CallRefused(error.what(), {}, RpcError::internal_error));
    }
}

}  // namespace meshd
