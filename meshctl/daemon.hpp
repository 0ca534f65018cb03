/// The running meshd, asked over its control socket.
#pragma once

#include <string>

#include "meshctl/request.hpp"
#include "meshctl/value.hpp"

namespace meshctl {

class Daemon {
public:
    explicit Daemon(std::string socket_path) : path_(std::move(socket_path)) {}

    /// Sends it and waits for the result. From the first second on, standard error shows what is being waited for: on
    /// a terminal in one line that is renewed, elsewhere in a line for each thing. Throws Failure with meshd's reason,
    /// or why it could not be asked.
    Value call(Request& request);
    Value call(const char* method) {
        Request request(method);
        return call(request);
    }

private:
    std::string path_;
};

}  // namespace meshctl
