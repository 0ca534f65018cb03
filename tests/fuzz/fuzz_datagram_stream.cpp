// Bytes of a stream that carries datagrams, with and without the preamble, whole and in pieces; and the same bytes as a
// proxy's answer. Whatever they are: pieces give what the whole gives, nothing beyond the bounds is kept or handed on.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "discovery/datagram_stream.hpp"
#include "discovery/http_connect.hpp"

namespace {

using namespace discovery;

void require(bool held) {
    if (!held) std::abort();
}

struct Came {
    std::optional<StreamPreamble> preamble;
    std::vector<net::Bytes> datagrams;
    DatagramFramer::State state{};
    bool operator==(const Came&) const = default;
};

Came read(net::ByteView bytes, bool with_preamble, std::size_t step) {
    DatagramFramer framer(with_preamble);
    Came out;
    std::size_t taken = 0;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        framer.feed(bytes.subspan(at, std::min(step, bytes.size() - at)));
        if (const auto preamble = framer.preamble()) {
            require(with_preamble && !out.preamble);
            out.preamble = preamble;
            taken += StreamPreamble::kBytes;
        }
        while (const auto datagram = framer.next()) {
            require(datagram->size() >= kMinStreamDatagramBytes && datagram->size() <= kMaxStreamDatagramBytes);
            taken += 2 + datagram->size();
            out.datagrams.push_back(net::copy(*datagram));
        }
        if (framer.state() == DatagramFramer::State::open) require(framer.kept_bytes() <= kMaxStreamDatagramBytes + 1);
    }
    require(taken <= bytes.size());
    out.state = framer.state();
    return out;
}

void answer(net::ByteView bytes, std::size_t step) {
    ConnectAnswer answer("192.0.2.1:443", step % 2 == 0);
    for (std::size_t at = 0; at < bytes.size(); at += step) answer.feed(bytes.subspan(at, std::min(step, bytes.size() - at)));
    require((answer.state() == ConnectAnswer::State::failed) == !answer.why().empty());
    require(answer.why().size() < 200);
    for (const char c : answer.why()) require(c >= ' ' && c <= '~');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    for (const bool with_preamble : {false, true}) {
        const auto whole = read(bytes, with_preamble, std::max<std::size_t>(size, 1));
        require(read(bytes, with_preamble, 1) == whole);
        require(read(bytes, with_preamble, 700) == whole);
    }
    answer(bytes, std::max<std::size_t>(size, 1));
    answer(bytes, 3);
    return 0;
}
