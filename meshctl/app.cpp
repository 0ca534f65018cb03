#include "meshctl/app.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <list>

#include "meshctl/command.hpp"
#include "meshctl/terminal.hpp"
#include "meshctl/value.hpp"

namespace meshctl {
namespace {

constexpr const char* kDefaultControl = "/run/meshd/control.sock";

/// What CLI11 fills in for one command.
struct Parsed {
    const Command* command = nullptr;
    CLI::App* app = nullptr;
    std::list<std::vector<std::string>> values;
    std::list<bool> flags;
    std::list<std::pair<std::string, CLI::Option*>> options;  ///< in the order of `values`
    std::list<std::pair<std::string, CLI::Option*>> flag_options;

    Arguments arguments() const {
        Arguments out;
        auto value = values.begin();
        for (const auto& [name, option] : options) {
            if (option->count() > 0) out.add(name, *value);
            ++value;
        }
        for (const auto& [name, option] : flag_options) {
            if (option->count() > 0) out.add(name, {});
        }
        return out;
    }
};

/// The subcommand of `app` for "peers", or for "user add" the one inside the group "user".
CLI::App& subcommand(CLI::App& app, const std::string& name, const std::string& summary) {
    const auto space = name.find(' ');
    if (space == std::string::npos) return *app.add_subcommand(name, summary);
    const auto group_name = name.substr(0, space);
    const auto same = app.get_subcommands([&](const CLI::App* other) { return other->get_name() == group_name; });
    auto* group = same.empty() ? nullptr : same.front();
    if (group == nullptr) {
        group = app.add_subcommand(group_name, "users and their phones: add, list, remove");
        group->require_subcommand(1)->fallthrough();
    }
    return *group->add_subcommand(name.substr(space + 1), summary);
}

void describe(CLI::App& app, Parsed& parsed) {
    const auto& command = *parsed.command;
    parsed.app = &subcommand(app, command.name, command.summary);
    parsed.app->fallthrough();
    parsed.app->footer(command.details);
    for (const auto& argument : command.arguments) {
        auto& into = parsed.values.emplace_back();
        parsed.options.emplace_back(
            argument.name,
            parsed.app->add_option(argument.name, into, argument.help)->required(!argument.optional)->expected(1)->type_name(""));
    }
    for (const auto& option : command.options) {
        if (option.takes == Command::Takes::flag) {
            parsed.flag_options.emplace_back(
                option.name, parsed.app->add_flag(option.name, parsed.flags.emplace_back(), option.help));
            continue;
        }
        auto& into = parsed.values.emplace_back();
        auto* const added = parsed.app->add_option(option.name, into, option.help)->type_name(option.value);
        added->expected(1);
        if (option.takes == Command::Takes::values) added->take_all();
        parsed.options.emplace_back(option.name, added);
    }
}

int usage(std::ostream& err, const std::string& what, const std::string& command) {
    err << "meshctl: " << printable(what) << "\n  "
        << "see: meshctl " << (command.empty() ? "" : command + " ") << "--help\n";
    return kExitUsage;
}

int failed(std::ostream& out, std::ostream& err, const Failure& failure, bool json) {
    if (json) out << error_json(failure.code(), failure.what(), failure.hint());
    err << "meshctl: " << printable(failure.what()) << '\n';
    if (!failure.hint().empty()) err << "  " << printable(failure.hint()) << '\n';
    return kExitFailed;
}

/// The word that stands where a command should; empty if a command was found, or nothing was said.
std::string unknown_command(const CLI::App& app, std::span<const std::string> arguments) {
    if (!app.get_subcommands().empty() || arguments.empty()) return {};
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--control") {
            ++i;
        } else if (!arguments[i].starts_with('-')) {
            return arguments[i];
        }
    }
    return {};
}

const char* control_from_environment() {
    const auto* path = std::getenv("MESHD_CONTROL");
    return path != nullptr && *path != '\0' ? path : kDefaultControl;
}

}  // namespace

int run(std::span<const std::string> arguments, std::ostream& out, std::ostream& err) {
    CLI::App app("controls meshd, the mesh that phones go on calling over when their central server is gone",
                 "meshctl");
    std::string control = control_from_environment();
    bool json = false;
    app.add_flag("--json", json, "print the result as JSON");
    app.add_option("--control", control,
                   "meshd's control socket (default: $MESHD_CONTROL, else " + std::string(kDefaultControl) + ")")
        ->type_name("SOCKET");
    app.set_version_flag("--version", "meshctl " MESHD_VERSION);
    app.require_subcommand(1);
    app.footer("Exit codes: 0 done, 1 failed, 2 the command line was wrong. More: man meshctl");
    std::list<Parsed> all;
    for (const auto* command : commands()) {
        auto& parsed = all.emplace_back();
        parsed.command = command;
        describe(app, parsed);
    }

    // CLI11 takes the arguments from the back.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    const auto chosen = [&]() -> Parsed* {
        for (auto& parsed : all) {
            if (parsed.app->parsed()) return &parsed;
        }
        return nullptr;
    };
    try {
        app.parse(reversed);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {
            app.exit(error, out, err);  // --help, --version
            return kExitDone;
        }
        const auto* parsed = chosen();
        const std::string name = parsed == nullptr ? "" : parsed->command->name;
        if (name == "join" && dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
            return usage(err,
                         "a token is never an argument, where others can read it: run meshctl join, which asks for it",
                         name);
        }
        if (const auto unknown = unknown_command(app, arguments); !unknown.empty()) {
            return usage(err, "there is no command \"" + unknown + "\"", name);
        }
        if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && parsed == nullptr) {
            const auto groups = app.get_subcommands();
            const auto group = groups.empty() ? std::string() : groups.front()->get_name();
            return usage(err, group.empty() ? "a command is missing" : group + " needs a command behind it", group);
        }
        return usage(err, error.what(), name);
    }

    const auto* parsed = chosen();
    const auto given = parsed->arguments();
    Daemon daemon(control);
    Invocation invocation{given, daemon, out, err, json, wants_colour()};
    try {
        parsed->command->run(invocation);
        out << std::flush;
        if (!out) throw Failure("the output cannot be written");
        return kExitDone;
    } catch (const UsageError& error) {
        return usage(err, error.what(), parsed->command->name);
    } catch (const Failure& failure) {
        return failed(out, err, failure, json);
    } catch (const std::exception& error) {
        return failed(out, err, Failure(error.what()), json);
    }
}

}  // namespace meshctl
