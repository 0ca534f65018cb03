#include "meshd/resolved.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "loop/fd_watch.hpp"
#include "loop/timer.hpp"
#include "meshd/sd_bus.hpp"

namespace meshd {
namespace {

constexpr const char* kService = "org.freedesktop.resolve1";
constexpr const char* kPath = "/org/freedesktop/resolve1";
constexpr const char* kManager = "org.freedesktop.resolve1.Manager";
constexpr const char* kStarts = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                "member='NameOwnerChanged',arg0='org.freedesktop.resolve1'";
constexpr auto kLinkUnknown = std::chrono::seconds(2);  // it hears of new devices in its own time
// What resolved.conf says is meant for other servers: the mesh's names have no signatures, ours takes no TLS.
constexpr auto kOff = std::to_array({"SetLinkDNSOverTLS", "SetLinkDNSSEC", "SetLinkLLMNR", "SetLinkMulticastDNS"});
constexpr int kMessagesPerTurn = 32;

/// A bus seen through the file system may be of another network namespace, where our device's index is another's. The kernel
/// lists a UNIX socket in the namespace of who made it. A bus that somebody has named is taken for the right one.
bool bus_is_of_this_network() {
    if (std::getenv("DBUS_SYSTEM_BUS_ADDRESS") != nullptr) return true;
    std::ifstream sockets("/proc/self/net/unix");
    for (std::string line; std::getline(sockets, line);) {
        if (line.ends_with("/dbus/system_bus_socket")) return true;
    }
    return false;
}

struct MessageFree {
    decltype(SdBus::message_unref) unref = nullptr;
    void operator()(sd_bus_message* message) const { unref(message); }
};
struct SlotFree {
    decltype(SdBus::slot_unref) unref = nullptr;
    void operator()(sd_bus_slot* slot) const { unref(slot); }
};
using Message = std::unique_ptr<sd_bus_message, MessageFree>;
using Slot = std::unique_ptr<sd_bus_slot, SlotFree>;

}  // namespace

struct Resolved::Inner {
    Inner(loop::Loop& on, int link, std::function<void()> tell)
        : loop(on),
          device(link),
          changed(std::move(tell)),
          bus_timer(on, [this] { process(); }),
          again(on, [this] { this->tell(); }) {}
    ~Inner();

    bool open();
    void lost(const char* what);
    void process();
    void rearm();
    void tell();
    void become(State now, std::string text);
    Message call(const char* method) const;
    bool ask(Message message);
    Message servers() const;
    Message domains() const;
    Message no_default_route() const;
    Message off(const char* method) const;
    void revert();
    void answered(sd_bus_message* reply);
    void owner_changed(sd_bus_message* signal);

    loop::Loop& loop;
    SdBus sd;
    int device;
    std::function<void()> changed;
    Wish wish;
    State state = State::absent;
    std::string why = "it was not asked yet";
    std::size_t answers_due = 0;
    bool servers_asked = false;  ///< the last question of all
    bool in_doubt = false;  ///< it may have been told something
    std::vector<Slot> questions;  ///< whose answers still count
    sd_bus* bus = nullptr;
    std::unique_ptr<loop::FdWatch> watch;
    loop::Timer bus_timer, again;
};

Resolved::Inner::~Inner() {
    if (bus == nullptr) return;
    // Sent at once, if at all: there is nobody any more to wait for the answer.
    revert();
    watch.reset();
    questions.clear();
    sd.close(bus);
    sd.unref(bus);
}

void Resolved::Inner::become(State now, std::string text) {
    if (state == now && why == text) return;
    state = now;
    why = std::move(text);
    changed();
}

bool Resolved::Inner::open() {
    if (bus != nullptr) return true;
    if (!bus_is_of_this_network() || !sd.load() || sd.open_system(&bus) < 0) {
        bus = nullptr;
        return false;
    }
    const auto told = [](sd_bus_message* message, void* self, sd_bus_error*) {
        static_cast<Inner*>(self)->owner_changed(message);
        return 0;
    };
    if (sd.add_match_async(bus, nullptr, kStarts, told, nullptr, this) < 0) {
        sd.close(bus);
        bus = sd.unref(bus);
        return false;
    }
    watch = std::make_unique<loop::FdWatch>(loop, sd.get_fd(bus), [this](loop::Readiness) { process(); });
    rearm();
    return true;
}

/// Never from inside sd-bus: its callbacks come from process().
void Resolved::Inner::lost(const char* what) {
    watch.reset();
    bus_timer.cancel();
    questions.clear();
    sd.close(bus);
    bus = sd.unref(bus);
    in_doubt = false;
    again.after(kTryAgain);
    become(State::absent, what);
}

void Resolved::Inner::process() {
    int result = 1;
    for (int i = 0; i < kMessagesPerTurn && result > 0; ++i) result = sd.process(bus, nullptr);
    if (result < 0) return lost("the connection to D-Bus has ended");
    rearm();
    if (result > 0) bus_timer.at(loop.now().steady);
}

void Resolved::Inner::rearm() {
    const int events = sd.get_events(bus);
    std::uint64_t until_us = 0;
    if (events < 0 || sd.get_timeout(bus, &until_us) < 0) return;
    watch->want((events & POLLIN) != 0, (events & POLLOUT) != 0);
    // CLOCK_MONOTONIC, as the steady clock is.
    bus_timer.at(until_us == UINT64_MAX ? net::kNever : net::Steady(std::chrono::microseconds(until_us)));
}

void Resolved::Inner::tell() {
    if (!open()) {
        again.after(kTryAgain);
        return become(State::absent, "there is no D-Bus in this network namespace");
    }
    if (wish.servers.empty() && !in_doubt) return;
    questions.clear();
    if (wish.servers.empty()) {
        revert();
        rearm();
        return become(State::absent, "no DNS is answered in the overlay");
    }
    in_doubt = true;
    servers_asked = false;
    become(State::asking, "");
    // The servers last, when all else holds: a link that has them and no domains would be asked for every name.
    bool good = ask(no_default_route()) && ask(domains());
    for (const auto* method : kOff) good = good && ask(off(method));
    answers_due = questions.size();
    if (!good) return lost("D-Bus takes no message");
    rearm();
}

Message Resolved::Inner::call(const char* method) const {
    sd_bus_message* raw = nullptr;
    if (sd.message_new_method_call(bus, &raw, kService, kPath, kManager, method) < 0) return nullptr;
    (void)sd.message_set_auto_start(raw, 0);
    return Message(raw, MessageFree{sd.message_unref});
}

bool Resolved::Inner::ask(Message message) {
    const auto answer = [](sd_bus_message* reply, void* self, sd_bus_error*) {
        static_cast<Inner*>(self)->answered(reply);
        return 0;
    };
    sd_bus_slot* slot = nullptr;
    if (!message || sd.call_async(bus, &slot, message.get(), answer, this, 0) < 0) return false;
    questions.emplace_back(slot, SlotFree{sd.slot_unref});
    return true;
}

Message Resolved::Inner::servers() const {
    const bool usual = wish.port == 53;
    auto out = call(usual ? "SetLinkDNS" : "SetLinkDNSEx");
    auto* message = out.get();
    if (!out || sd.message_append(message, "i", device) < 0 ||
        sd.message_open_container(message, 'a', usual ? "(iay)" : "(iayqs)") < 0) {
        return nullptr;
    }
    for (const auto& server : wish.servers) {
        const auto bytes = server.bytes();
        const int family = server.is_v4() ? AF_INET : AF_INET6;
        const bool good = sd.message_open_container(message, 'r', usual ? "iay" : "iayqs") >= 0 &&
                          sd.message_append(message, "i", family) >= 0 &&
                          sd.message_append_array(message, 'y', bytes.data(), bytes.size()) >= 0 &&
                          (usual || sd.message_append(message, "qs", static_cast<unsigned>(wish.port), "") >= 0) &&
                          sd.message_close_container(message) >= 0;
        if (!good) return nullptr;
    }
    return sd.message_close_container(message) < 0 ? nullptr : std::move(out);
}

Message Resolved::Inner::domains() const {
    auto out = call("SetLinkDomains");
    auto* message = out.get();
    if (!out || sd.message_append(message, "i", device) < 0 || sd.message_open_container(message, 'a', "(sb)") < 0) {
        return nullptr;
    }
    for (std::size_t i = 0; i < std::min(wish.domains.size(), kMaxDomains); ++i) {
        if (sd.message_append(message, "(sb)", wish.domains[i].c_str(), 1) < 0) return nullptr;
    }
    return sd.message_close_container(message) < 0 ? nullptr : std::move(out);
}

Message Resolved::Inner::no_default_route() const {
    auto out = call("SetLinkDefaultRoute");
    return !out || sd.message_append(out.get(), "ib", device, 0) < 0 ? nullptr : std::move(out);
}

Message Resolved::Inner::off(const char* method) const {
    auto out = call(method);
    return !out || sd.message_append(out.get(), "is", device, "no") < 0 ? nullptr : std::move(out);
}

/// Takes back whatever was told. Sent at once, if at all, and no answer is waited for.
void Resolved::Inner::revert() {
    if (!std::exchange(in_doubt, false)) return;
    auto message = call("RevertLink");
    if (!message || sd.message_append(message.get(), "i", device) < 0) return;
    (void)sd.message_set_expect_reply(message.get(), 0);
    (void)sd.send(bus, message.get(), nullptr);
}

void Resolved::Inner::answered(sd_bus_message* reply) {
    if (answers_due == 0) return;  // to what was said before
    if (sd.is_open(bus) <= 0) return;  // nobody has refused: process() tells that the connection has ended
    const auto* error = sd.message_get_error(reply);
    if (error == nullptr) {
        if (--answers_due > 0) return;
        if (std::exchange(servers_asked, true)) return become(State::told, "");
        answers_due = ask(servers()) ? 1 : 0;
        if (answers_due > 0) return;
        revert();
        again.after(kTryAgain);
        return become(State::refused, "D-Bus takes no message");
    }
    answers_due = 0;
    const auto is = [&](const char* name) { return sd.error_has_name(error, name) != 0; };
    const bool gone = is(SD_BUS_ERROR_SERVICE_UNKNOWN) || is(SD_BUS_ERROR_NAME_HAS_NO_OWNER);
    if (gone) {
        in_doubt = false;
        return become(State::absent, "it does not run here");  // its start is told
    }
    revert();
    again.after(is("org.freedesktop.resolve1.NoSuchLink") ? net::Duration(kLinkUnknown) : net::Duration(kTryAgain));
    become(State::refused, error->message != nullptr ? error->message : error->name);
}

void Resolved::Inner::owner_changed(sd_bus_message* signal) {
    const char *name = nullptr, *before = nullptr, *after = nullptr;
    if (sd.message_read(signal, "sss", &name, &before, &after) < 0) return;
    if (std::strlen(after) > 0) {
        again.after(std::chrono::seconds(0));  // not from inside sd-bus
    } else {
        answers_due = 0;
        in_doubt = false;
        become(State::absent, "it does not run here");
    }
}

Resolved::Resolved(loop::Loop& loop, int device, std::function<void()> changed)
    : inner_(std::make_unique<Inner>(loop, device, std::move(changed))) {}

Resolved::~Resolved() = default;

void Resolved::want(Wish wish) {
    if (wish == inner_->wish) return;
    inner_->wish = std::move(wish);
    inner_->again.after(std::chrono::seconds(0));
}

Resolved::State Resolved::state() const { return inner_->state; }
const std::string& Resolved::why() const { return inner_->why; }

std::string_view name_of(Resolved::State state) {
    switch (state) {
        case Resolved::State::absent: return "absent";
        case Resolved::State::asking: return "asking";
        case Resolved::State::told: return "told";
        case Resolved::State::refused: return "refused";
    }
    return "";
}

}  // namespace meshd
