// Random runs for as long as one likes: chaos --seconds N, from a seed of its own or (--from) that one; or chaos --seed S, that one run, told.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "tests/sim/chaos.hpp"

namespace {

double seconds(net::Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

int main(int argc, char** argv) {
    double limit_s = 60;
    std::optional<std::uint64_t> only, first;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--seconds") limit_s = std::atof(argv[i + 1]);
        if (option == "--seed") only = std::strtoull(argv[i + 1], nullptr, 10);
        if (option == "--from") first = std::strtoull(argv[i + 1], nullptr, 10);
    }
    const sim::ChaosMembers members(8);
    if (only) {
        const auto result = sim::run_chaos(members, *only, true);
        std::printf("found together in %.1f s\n%s", seconds(result.found_in), result.violated.c_str());
        return result.violated.empty() ? 0 : 1;
    }
    std::random_device device;
    auto seed = first.value_or(std::uint64_t{device()} << 20);
    const auto began = std::chrono::steady_clock::now();
    std::vector<double> found_s;
    double node_hours = 0;
    std::size_t failed = 0, late = 0;
    const auto wall = [&] { return seconds(std::chrono::steady_clock::now() - began); };
    while (wall() < limit_s) {
        const auto result = sim::run_chaos(members, seed++);
        node_hours += seconds(result.lasted) * static_cast<double>(members.disks.size()) / 3600;
        found_s.push_back(seconds(result.found_in));
        if (result.violated.empty() && result.found_in > sim::ChaosResult::kSoon) {
            ++late;
            std::printf("seed %llu: together after %.1f s only\n", static_cast<unsigned long long>(seed - 1), found_s.back());
        }
        if (result.violated.empty()) continue;
        ++failed;
        std::printf("%s\n", result.violated.c_str());
    }
    std::sort(found_s.begin(), found_s.end());
    const auto percentile = [&](std::size_t p) { return found_s[(found_s.size() * p + 99) / 100 - 1]; };
    std::printf("{\"runs\": %zu, \"failed\": %zu, \"late\": %zu, \"node_hours\": %.2f, \"wall_s\": %.1f, \"found_p50_s\": %.1f, \"found_p99_s\": %.1f}\n",
                found_s.size(), failed, late, node_hours, wall(), percentile(50), percentile(99));
    return failed == 0 ? 0 : 1;
}
