/// The program `nft`, and news of what anybody changes in nftables.
#pragma once

#include <string>
#include <vector>

#include "loop/file_descriptor.hpp"
#include "net/result.hpp"

namespace meshd {

/// Runs nft with `words` and gives it `input`. What it prints, 256 kB at most. Blocks, for seconds at most, and ends it as soon as
/// `stop`, an open descriptor or -1, can be read. The error is what nft said, or that it is missing and what to do.
net::Result<std::string> run_nft(const std::vector<std::string>& words, const std::string& input, int stop);

/// Can be read after a change in nftables of this network namespace; drain_nft_news() takes all of them. None where the
/// kernel does not let us.
loop::FileDescriptor open_nft_news();
void drain_nft_news(int news);

}  // namespace meshd
