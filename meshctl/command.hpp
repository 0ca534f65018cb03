/// A command of meshctl: one file, one row in commands.cpp. It says what it takes, and is handed what was given.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "meshctl/daemon.hpp"
#include "meshctl/failure.hpp"

namespace meshctl {

/// What was given on the command line, by the names of the command's rows.
class Arguments {
public:
    void add(const std::string& name, std::vector<std::string> values) { values_[name] = std::move(values); }

    bool has(const std::string& name) const { return values_.contains(name); }
    std::string text(const std::string& name) const;  ///< empty if it was not given
    std::vector<std::string> texts(const std::string& name) const;

private:
    std::map<std::string, std::vector<std::string>> values_;
};

struct Invocation {
    const Arguments& arguments;
    Daemon& daemon;
    std::ostream& out;    ///< what was asked for
    std::ostream& hints;  ///< what a person may want to know besides
    bool json = false;
    bool colour = false;

    Value call(Request& request) { return daemon.call(request); }
    Value call(const char* method) { return daemon.call(method); }
    /// With --json prints `result` and is true: that is all then.
    bool printed_as_json(const Value& result) const;
};

struct Command {
    enum class Takes { flag, value, values };
    struct Argument {
        const char* name;  ///< "NAME", for positions
        const char* help;
        bool optional = false;
    };
    struct Option {
        const char* name;  ///< "--subnet"
        Takes takes;
        const char* value;  ///< "PREFIX", null for flags
        const char* help;
    };

    const char* name;  ///< "peers", or "user add" in a group
    const char* summary;
    const char* details;
    std::vector<Argument> arguments;
    std::vector<Option> options;
    void (*run)(Invocation&);  ///< throws Failure and UsageError
};

/// In the order of the help.
std::span<const Command* const> commands();

// Checks before meshd is asked. They throw UsageError that names the option.
void check_prefixes(const Arguments& arguments, const char* option);
void check_endpoints(const Arguments& arguments, const char* option);

}  // namespace meshctl
