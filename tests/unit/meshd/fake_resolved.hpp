/// A D-Bus daemon of the test's own, and on it one who answers as systemd-resolved would, or not.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <set>

#include "loop/fd_watch.hpp"
#include "scratch.hpp"

namespace test {

/// What is taken for the system's bus while this lives.
class PrivateBus {
public:
    PrivateBus() {
        const auto config = folder_.path("bus.conf");
        const auto address = "unix:path=" + folder_.path("bus");
        std::ofstream(config) << "<busconfig><listen>" << address << "</listen><auth>EXTERNAL</auth>"
                                 "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
                                 "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>";
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        process_ = ::fork();
        if (process_ == 0) {
            ::dup2(ready[1], STDOUT_FILENO);
            ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);  // where it says that it may not raise its limits
            ::execlp("dbus-daemon", "dbus-daemon", ("--config-file=" + config).c_str(), "--nofork", "--nopidfile", "--print-address", nullptr);
            ::_exit(127);
        }
        ::close(ready[1]);
        char first = 0;
        const bool listens = ::read(ready[0], &first, 1) == 1;  // it says where it listens when it does
        ::close(ready[0]);
        REQUIRE(listens);  // else there is no dbus-daemon: packaging/dependencies
        ::setenv("DBUS_SYSTEM_BUS_ADDRESS", address.c_str(), 1);
    }
    ~PrivateBus() {
        end();
        ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    }
    PrivateBus(const PrivateBus&) = delete;
    PrivateBus& operator=(const PrivateBus&) = delete;

    void end() {
        if (process_ <= 0) return;
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        process_ = 0;
    }

private:
    Scratch folder_;
    pid_t process_ = 0;
};

class FakeResolved {
public:
    explicit FakeResolved(loop::Loop& loop) {
        REQUIRE(sd_bus_open_system(&bus_) >= 0);
        const auto called = [](sd_bus_message* message, void* self, sd_bus_error*) {
            return static_cast<FakeResolved*>(self)->called(message);
        };
        REQUIRE(sd_bus_add_object(bus_, nullptr, "/org/freedesktop/resolve1", called, this) >= 0);
        watch_ = std::make_unique<loop::FdWatch>(loop, sd_bus_get_fd(bus_), [](loop::Readiness) {});
        watch_->want(true, false);
        appear();
    }
    ~FakeResolved() {
        watch_.reset();
        sd_bus_close(bus_);
        sd_bus_unref(bus_);
    }
    FakeResolved(const FakeResolved&) = delete;
    FakeResolved& operator=(const FakeResolved&) = delete;

    void appear() { REQUIRE(sd_bus_request_name(bus_, kName, 0) >= 0); }
    void vanish() { REQUIRE(sd_bus_release_name(bus_, kName) >= 0); }
    /// Answers what has come. Between turns of the loop.
    void serve() {
        int result = 1;
        while (result > 0) result = sd_bus_process(bus_, nullptr);
        if (result < 0) watch_.reset();  // the bus has ended, and its descriptor is closed
        else sd_bus_flush(bus_);
    }
    bool was_called(const std::string& method) const { return std::find(calls.begin(), calls.end(), method) != calls.end(); }

    std::vector<std::string> calls;
    std::set<std::string> refuses;   ///< methods that are answered with an error
    std::set<std::string> silent_on; ///< methods that are not answered

private:
    static constexpr const char* kName = "org.freedesktop.resolve1";
    int called(sd_bus_message* message) {
        const std::string method = sd_bus_message_get_member(message);
        calls.push_back(method);
        if (silent_on.contains(method)) return 1;
        if (refuses.contains(method)) {
            return sd_bus_reply_method_errorf(message, "org.freedesktop.DBus.Error.AccessDenied", "%s is not for you", method.c_str());
        }
        return sd_bus_reply_method_return(message, "");
    }

    sd_bus* bus_ = nullptr;
    std::unique_ptr<loop::FdWatch> watch_;
};

}  // namespace test
