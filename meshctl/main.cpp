#include <csignal>
#include <iostream>
#include <vector>

#include "meshctl/app.hpp"

int main(int argc, char** argv) {
    // A reader that goes away (`meshctl peers | head -1`) is no failure worth a core or a message.
    std::signal(SIGPIPE, SIG_DFL);
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    return meshctl::run(arguments, std::cout, std::cerr);
}
