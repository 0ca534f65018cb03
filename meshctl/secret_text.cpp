#include "meshctl/secret_text.hpp"

#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "loop/file_descriptor.hpp"
#include "meshctl/failure.hpp"
#include "net/text.hpp"

namespace meshctl {

SecretText::SecretText() {
    text_.reserve(kMaxBytes + 1);
}
SecretText::~SecretText() {
    explicit_bzero(text_.data(), text_.capacity());
}

// std::string moves its buffer when it is on the heap, where the constructor has put it.
SecretText::SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) {}
SecretText& SecretText::operator=(SecretText&& other) noexcept {
    text_.swap(other.text_);
    return *this;
}

std::string_view SecretText::view() const {
    return net::trim(text_);
}

SecretText SecretText::first_line(int fd, const std::string& what) {
    SecretText out;
    for (;;) {
        // A byte at a time: what stands behind the line belongs to somebody else.
        char c = 0;
        const auto size = ::read(fd, &c, 1);
        if (size < 0 && errno == EINTR) throw Failure("interrupted");
        if (size < 0) throw Failure("cannot read " + what + ": " + std::strerror(errno));
        if (size == 0 || c == '\n') return out;
        if (out.text_.size() == kMaxBytes)
            throw Failure(what + " has a line of more than 4096 bytes, which is no secret");
        out.text_ += c;
    }
}

SecretText read_secret_file(const std::string& path) {
    if (path == "-") return SecretText::first_line(STDIN_FILENO, "standard input");
    const loop::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open()) throw Failure("cannot read " + path + ": " + std::strerror(errno));
    return SecretText::first_line(file.get(), path);
}

bool can_ask() {
    return ::isatty(STDIN_FILENO) == 1;
}

SecretText ask_secret(const std::string& prompt) {
    const loop::FileDescriptor terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC));
    termios before{};
    if (!terminal.is_open() || ::tcgetattr(terminal.get(), &before) != 0)
        throw Failure("there is no terminal to ask at");

    // Control-C must not leave a terminal without echo: it interrupts the reading instead of ending us.
    struct sigaction interrupt {
    }, interrupt_before{};
    interrupt.sa_handler = [](int) {};
    ::sigaction(SIGINT, &interrupt, &interrupt_before);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    ::tcsetattr(terminal.get(), TCSAFLUSH, &silent);
    const auto restore = [&] {
        ::tcsetattr(terminal.get(), TCSAFLUSH, &before);
        ::sigaction(SIGINT, &interrupt_before, nullptr);
    };
    if (::write(terminal.get(), prompt.data(), prompt.size()) < 0) {
        restore();
        throw Failure("cannot write to the terminal");
    }
    try {
        auto secret = SecretText::first_line(terminal.get(), "the terminal");
        restore();
        return secret;
    } catch (const Failure&) {
        restore();
        // Behind the prompt.
        if (::write(terminal.get(), "\n", 1) < 0) throw Failure("cannot write to the terminal");
        throw;
    }
}

}  // namespace meshctl
