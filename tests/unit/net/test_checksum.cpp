#include <catch2/catch.hpp>

#include "net/checksum.hpp"
#include "net/random.hpp"

namespace {

/// RFC 1071 section 4.1, word by word.
std::uint16_t slow_sum(net::ByteView bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(sum);
}

}  // namespace

TEST_CASE("the example of RFC 1071 gives its sum") {
    const auto bytes = net::Writer().u16be(0x0001).u16be(0xf203).u16be(0xf4f5).u16be(0xf6f7).take();
    CHECK(net::checksum_fold(net::checksum_add(bytes)) == 0xddf2);
    CHECK(net::checksum_finish(net::checksum_add(bytes)) == 0x220d);
}

TEST_CASE("sums equal those of the naive way at every length and alignment") {
    net::SeededRandom random(7);
    net::Bytes memory(70000);
    random.fill(memory);
    for (std::size_t size = 0; size < 600; ++size) {
        for (std::size_t offset = 0; offset < 17; ++offset) {
            const auto bytes = net::ByteView(memory).subspan(offset, size);
            if (net::checksum_fold(net::checksum_add(bytes)) != slow_sum(bytes)) FAIL(size << " at " << offset);
        }
    }
    for (int i = 0; i < 300; ++i) {
        const auto bytes = net::ByteView(memory).subspan(random.below(2000), random.below(68000));
        REQUIRE(net::checksum_fold(net::checksum_add(bytes)) == slow_sum(bytes));
    }
}

TEST_CASE("no carry is lost where all bits are set, and zeros stay zero") {
    const net::Bytes ones(65536, std::byte{0xff}), zeros(65536);
    CHECK(net::checksum_fold(net::checksum_add(ones)) == 0xffff);
    CHECK(net::checksum_fold(net::checksum_add(zeros)) == 0);
    CHECK(net::checksum_fold(UINT64_MAX) == 0xffff);
    CHECK(net::checksum_fold(0xffffffff0000ffff) == slow_sum(net::Writer().u64be(0xffffffff0000ffff).take()));
}

TEST_CASE("a sum may be taken in pieces of even length") {
    net::SeededRandom random(8);
    for (int i = 0; i < 500; ++i) {
        net::Bytes bytes(random.below(3000));
        random.fill(bytes);
        const auto cut = bytes.empty() ? 0 : random.below(bytes.size()) & ~std::size_t{1};
        const auto first = net::checksum_add(net::ByteView(bytes).first(cut), random.below(2) * 0xffff);
        const auto sum = net::checksum_fold(net::checksum_add(net::ByteView(bytes).subspan(cut), first));
        CHECK(sum % 0xffff == slow_sum(bytes) % 0xffff);
    }
}

TEST_CASE("the pseudo-header counts addresses, protocol and length") {
    const auto v4 = net::Writer().u32be(0x0a000001).u32be(0x0a000002).take();
    auto words = net::Writer().bytes(v4).u16be(17).u16be(4000).take();
    CHECK(net::checksum_fold(net::checksum_pseudo_header(v4, 17, 4000)) == slow_sum(words));
    const auto v6 = net::Writer().u64be(0xfd00000000000001).u64be(1).u64be(0xfd00000000000002).u64be(2).take();
    words = net::Writer().bytes(v6).u32be(65575).u32be(6).take();
    CHECK(net::checksum_fold(net::checksum_pseudo_header(v6, 6, 65575)) == slow_sum(words));
}
