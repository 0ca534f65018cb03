/// meshd: reads its configuration, opens the daemon, and says what is wrong if that fails.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include "loop/system_random.hpp"
#include "meshd/daemon.hpp"

namespace {

spdlog::level::level_enum level(meshd::LogLevel wanted) {
    switch (wanted) {
        case meshd::LogLevel::trace: return spdlog::level::trace;
        case meshd::LogLevel::debug: return spdlog::level::debug;
        case meshd::LogLevel::info: return spdlog::level::info;
        case meshd::LogLevel::warn: return spdlog::level::warn;
        case meshd::LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("meshd: a full mesh between offices, and telephony that survives the loss of the central server");
    std::string config_path = meshd::kDefaultConfigPath;
    meshd::DaemonPaths paths{"/var/lib/meshd", meshd::kDefaultControlPath};
    bool check = false;
    auto* config_option = app.add_option("--config", config_path, "configuration file")->capture_default_str();
    app.add_option("--state", paths.state, "folder for keys and state")->capture_default_str();
    app.add_option("--control", paths.control, "control socket, for meshctl")->capture_default_str();
    app.add_flag("--check", check, "check the configuration and end");
    app.set_version_flag("--version", MESHD_VERSION);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
        std::fprintf(stderr, "meshd: %s\n  see: meshd --help\n", error.what());
        return 2;
    }
    try {
        auto config = meshd::load_config(config_path, config_option->count() == 0);
        if (check) {
            std::printf("%s: good\n", config_path.c_str());
            return 0;
        }
        auto log = spdlog::stderr_logger_mt("meshd");
        log->set_pattern("%Y-%m-%d %H:%M:%S.%e %l: %v");
        log->set_level(level(config.log));
        log->flush_on(spdlog::level::trace);
        spdlog::set_default_logger(std::move(log));
        // Keys are in this process's memory: they must not land in a core dump.
        const rlimit no_core{0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        std::signal(SIGPIPE, SIG_IGN);
        loop::SystemRandom random;
        meshd::Daemon daemon(std::move(config), paths, random);
        daemon.run();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "meshd: %s\n", error.what());
        return 1;
    }
}
