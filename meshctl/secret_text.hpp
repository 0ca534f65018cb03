/// A token or a password on its way from a person to meshd: never an argument, never echoed, wiped afterwards.
#pragma once

#include <string>
#include <string_view>

namespace meshctl {

class SecretText {
public:
    SecretText();
    ~SecretText();
    SecretText(SecretText&& other) noexcept;
    SecretText& operator=(SecretText&& other) noexcept;

    std::string_view view() const;  ///< without white space around it
    bool empty() const { return view().empty(); }

    static constexpr std::size_t kMaxBytes = 4096;

private:
    friend SecretText read_secret_file(const std::string& path);
    friend SecretText ask_secret(const std::string& prompt);
    static SecretText first_line(int fd, const std::string& what);
    std::string text_;
};

/// The first line of a file, "-" for standard input. Throws Failure.
SecretText read_secret_file(const std::string& path);
/// Asks at the terminal, without echo. Throws Failure if there is none, or Control-C was pressed.
SecretText ask_secret(const std::string& prompt);
/// Whether a person is there to be asked.
bool can_ask();

}  // namespace meshctl
