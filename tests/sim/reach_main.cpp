// The NAT grid over seeds: reach [--seeds N] [--from SEED]. Prints the grid and how long it took, and as its last line all
// figures as JSON.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/sim/reach.hpp"

namespace {

struct Figures {
    std::vector<double> first_data_s, final_way_s;
    std::size_t runs = 0, direct = 0, carried = 0;
    std::optional<mesh::Rank> worst;

    void add(const sim::ReachResult& one) {
        const auto seconds = [](net::Duration time) { return std::chrono::duration<double>(time).count(); };
        ++runs;
        if (!one.carries) return;
        ++carried;
        direct += one.direct() ? 1 : 0;
        worst = std::max(worst.value_or(*one.rank), *one.rank);
        first_data_s.push_back(seconds(one.first_data));
        final_way_s.push_back(seconds(one.final_way));
    }
};

double percentile(std::vector<double> values, std::size_t percent) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[(values.size() * percent + 99) / 100 - 1];
}

void print(const sim::ReachCell& cell, const Figures& one) {
    std::printf("%-58s %-8s %3zu of %-3zu %6.2f %6.2f %8.2f %6.2f\n", text(cell).c_str(),
                one.worst ? std::string(mesh::text(*one.worst)).c_str() : "none", one.direct, one.runs,
                percentile(one.first_data_s, 50), percentile(one.first_data_s, 99), percentile(one.final_way_s, 50),
                percentile(one.final_way_s, 99));
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t seeds = 5, from = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--seeds") == 0) seeds = std::strtoull(argv[i + 1], nullptr, 10);
        if (std::strcmp(argv[i], "--from") == 0) from = std::strtoull(argv[i + 1], nullptr, 10);
    }
    using Together = sim::ReachCell::Together;
    std::vector<sim::ReachCell> cells;
    for (const auto left : sim::kSites)
        for (const auto right : sim::kSites)
            if (left <= right) cells.push_back({left, right, Together::no});
    cells.push_back({sim::Site::port_restricted, sim::Site::port_restricted, Together::same_lan});
    cells.push_back({sim::Site::double_nat, sim::Site::double_nat, Together::same_carrier});
    cells.push_back({sim::Site::double_nat, sim::Site::double_nat, Together::same_carrier_without_hairpinning});
    std::printf("%-58s %-8s %-10s %6s %6s %8s %6s\n", "", "way", "direct", "data", "", "last way", "");
    std::printf("%-58s %-8s %-10s %6s %6s %8s %6s\n", "", "at worst", "", "p50 s", "p99 s", "p50 s", "p99 s");
    Figures direct, relayed;
    std::size_t unreached = 0, direct_cells = 0;
    for (const auto& cell : cells) {
        Figures one;
        for (auto seed = from; seed < from + seeds; ++seed) {
            const auto result = sim::reach(cell, seed);
            one.add(result);
            (result.direct() ? direct : relayed).add(result);
            if (!result.carries) ++unreached;
        }
        direct_cells += one.direct == one.runs ? 1 : 0;
        print(cell, one);
    }
    std::printf("{\"cells\": %zu, \"direct_cells\": %zu, \"unreached\": %zu, \"data_p50_s\": %.3f, \"data_p99_s\": %.3f, "
                "\"direct_p50_s\": %.3f, \"direct_p99_s\": %.3f, \"relayed_data_p50_s\": %.3f, \"relayed_data_p99_s\": %.3f}\n",
                cells.size(), direct_cells, unreached, percentile(direct.first_data_s, 50), percentile(direct.first_data_s, 99),
                percentile(direct.final_way_s, 50), percentile(direct.final_way_s, 99), percentile(relayed.first_data_s, 50),
                percentile(relayed.first_data_s, 99));
    return unreached == 0 ? 0 : 1;
}
