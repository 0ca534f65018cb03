/// Runs a fuzz target as a plain test: every file of the folders that are named, each also cut short and with bytes
/// changed, exact by seed. A build with -Dfuzzers=true links libFuzzer in this file's place.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "net/random.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr int kVariants = 300;

void run(net::ByteView input) { LLVMFuzzerTestOneInput(net::u8(input), input.size()); }

void run_variants(const net::Bytes& seed, net::Random& random) {
    run(seed);
    for (int i = 0; i < kVariants; ++i) {
        auto input = seed;
        for (auto changes = random.below(8); changes > 0 && !input.empty(); --changes) {
            const auto at = random.below(input.size());
            switch (random.below(4)) {
                case 0: input[at] = static_cast<std::byte>(random.u64()); break;
                case 1: input[at] ^= static_cast<std::byte>(1U << random.below(8)); break;
                case 2: input.resize(at); break;
                default: input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), static_cast<std::byte>(random.u64()));
            }
        }
        run(input);
    }
}

}  // namespace

int main(int argc, char** argv) {
    net::SeededRandom random(1);
    std::size_t inputs = 0;
    for (int i = 1; i < argc; ++i) {
        std::vector<std::filesystem::path> files;
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
        std::sort(files.begin(), files.end());
        for (const auto& path : files) {
            std::ifstream file(path, std::ios::binary);
            const std::string text{std::istreambuf_iterator<char>(file), {}};
            run_variants(net::copy(net::as_bytes(text)), random);
            ++inputs;
        }
    }
    for (std::size_t size = 0; size < 300; ++size) {
        net::Bytes input(size);
        random.fill(input);
        run(input);
    }
    std::printf("%zu files and their variants\n", inputs);
}
