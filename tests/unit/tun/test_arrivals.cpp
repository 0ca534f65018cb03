#include "own_network.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>

#include "tun/addressing.hpp"
#include "tun/device.hpp"

using namespace std::chrono_literals;
using tun::ArrivalNotes;
using tun::Arrivals;

namespace {

net::Steady now() { return std::chrono::time_point_cast<net::Duration>(std::chrono::steady_clock::now()); }

/// A queue of the kernel's that holds so much, and its notes as the program makes them; packet n comes at n ms and has
/// 100 bytes.
class Kernel {
public:
    explicit Kernel(std::size_t room) : room_(room) {}

    void packets(int count) {
        for (; count > 0; --count) {
            const auto number = notes->count.load();
            auto& note = notes->notes[number % ArrivalNotes::kNotes];
            note.steady_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(1ms).count()) * number;
            note.bytes = notes->bytes += 100;
            notes->count = number + 1;
            if (waiting_.size() < room_) waiting_.push_back(number);
        }
    }
    /// What is read, and what is told of it. -1: nothing.
    struct Read {
        std::int64_t number = -1;
        std::int64_t told = -1;
        std::uint64_t bytes_behind = 0;
    };
    Read read(Arrivals& arrivals) {
        arrivals.before_reading();
        Read out;
        if (waiting_.empty()) {
            arrivals.found_empty();
            return out;
        }
        out.number = static_cast<std::int64_t>(waiting_.front());
        waiting_.erase(waiting_.begin());
        if (const auto arrival = arrivals.taken()) {
            out.told = arrival->at.time_since_epoch() / 1ms;
            out.bytes_behind = arrival->bytes_behind;
        }
        return out;
    }

    const std::shared_ptr<ArrivalNotes> notes = std::make_shared<ArrivalNotes>();

private:
    std::size_t room_;
    std::vector<std::uint64_t> waiting_;
};

}  // namespace

TEST_CASE("each packet that is read is told with its own time, and with what waits behind it") {
    Kernel kernel(500);
    Arrivals arrivals(kernel.notes, 500);
    for (int round = 0; round < 300; ++round) {  // around the ring of notes, too
        kernel.packets(10);
        for (std::uint64_t left = 10; left-- > 0;) {
            const auto read = kernel.read(arrivals);
            REQUIRE(read.told == read.number);
            REQUIRE(read.bytes_behind == left * 100);
        }
        if (round % 2 == 0) CHECK(kernel.read(arrivals).number == -1);
    }
}

TEST_CASE("after packets were lost to a full queue the count is right again by the time that those in it are read") {
    Kernel kernel(500);
    Arrivals arrivals(kernel.notes, 500);
    kernel.packets(GENERATE(600, 1000, 1500, 5000));
    for (int i = 0; i < 499; ++i) {
        const auto read = kernel.read(arrivals);
        CHECK(read.told >= read.number);  // never as if it had waited for longer
        kernel.packets(i % 2);
    }
    kernel.read(arrivals);
    for (int i = 0; i < 100; ++i) {
        const auto read = kernel.read(arrivals);
        CHECK(std::abs(read.told - read.number) <= 1);
    }
}

TEST_CASE("a loss that the count does not show is put right when the queue is empty") {
    Kernel kernel(100);
    Arrivals arrivals(kernel.notes, 500);  // told wrong
    kernel.packets(200);
    while (kernel.read(arrivals).number >= 0) {
    }
    kernel.packets(3);
    const auto read = kernel.read(arrivals);
    CHECK(read.told == read.number);
    CHECK(read.bytes_behind == 200);
}

TEST_CASE("a packet that came past the program has no time, and the next has its own") {
    Kernel kernel(500);
    Arrivals arrivals(kernel.notes, 500);
    arrivals.before_reading();
    CHECK_FALSE(arrivals.taken());
    kernel.packets(1);
    CHECK(kernel.read(arrivals).told == 0);
}

TEST_CASE("the kernel notes when packets come to the device, for each of its queues") {
    if (!test::enter_own_network()) return;
    const auto queues = GENERATE(1U, 2U, 4U);
    auto device = tun::Device::open({.queues = queues, .queue_packets = 20});
    REQUIRE(device);
    if (!device->arrivals_trouble().empty()) {
        WARN("SKIPPED: " << device->arrivals_trouble());
        CHECK_FALSE(device->queues()[0].notes_arrivals());
        return;
    }
    auto addressing = tun::Addressing::open(device->index());
    REQUIRE(addressing->reconcile({{*net::IpAddress::parse("10.77.0.1")}, {*net::Prefix::parse("10.77.0.0/16")}}));
    int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in far{};
    far.sin_family = AF_INET;
    far.sin_port = htons(9);
    ::inet_pton(AF_INET, "10.77.0.2", &far.sin_addr);
    // The flow of another source port comes out of another queue.
    const auto bind_anew = [&] {
        ::close(socket);
        socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    };
    const auto send = [&](int tos, std::size_t count) {
        REQUIRE(::setsockopt(socket, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
        const std::string payload(72, 'x');
        for (; count > 0; --count) {
            ::sendto(socket, payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&far), sizeof far);
        }
    };
    net::Bytes buffer(tun::Queue::kBufferBytes);
    for (std::size_t which = 0; which < device->queues().size(); ++which) {
        auto& queue = device->queues()[which];
        const int tos = which == 0 || which + 1 < device->queues().size() ? 0 : 46 << 2;
        for (int port = 0; port < 1000 && tos == 0; ++port) {
            send(tos, 1);
            const bool here = queue.read(buffer).has_value();
            for (auto& other : device->queues()) {
                while (other.read(buffer)) {
                }
            }
            if (here) break;
            bind_anew();
        }
        CHECK_FALSE(queue.read(buffer));
        const auto before = now();
        send(tos, 3);
        const auto between = now();
        send(tos, 100);  // of which 17 find room
        const auto after = now();
        for (int i = 0; i < 20; ++i) {
            const auto received = queue.read(buffer);
            REQUIRE(received);
            REQUIRE(received->size == 100);
            REQUIRE(received->arrival);
            CHECK(received->arrival->at >= before);
            CHECK(received->arrival->at <= after);
            CHECK(received->arrival->bytes_behind >= static_cast<std::uint64_t>(19 - i) * 100);
        }
        CHECK_FALSE(queue.read(buffer));
        send(tos, 2);
        for (int i = 2; i-- > 0;) {
            const auto received = queue.read(buffer);
            REQUIRE(received);
            CHECK(received->arrival->at >= after);
            CHECK(received->arrival->bytes_behind == static_cast<std::uint64_t>(i) * 100);
        }
        CHECK(between > before);
    }
    ::close(socket);
}

TEST_CASE("CAP_BPF and CAP_NET_ADMIN are right enough to have the times noted; without them packets pass all the same") {
    if (!test::enter_own_network()) return;
    if (const auto device = tun::Device::open({}); !device->arrivals_trouble().empty()) {
        WARN("SKIPPED: " << device->arrivals_trouble());
        return;
    }
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> rights{}, fewer{};
    REQUIRE(::syscall(SYS_capget, &header, rights.data()) == 0);
    const auto keep = [&](int which) {
        const auto at = static_cast<std::size_t>(CAP_TO_INDEX(which));
        fewer[at].effective |= rights[at].effective & CAP_TO_MASK(which);
    };
    for (std::size_t i = 0; i < rights.size(); ++i) fewer[i].permitted = rights[i].permitted;
    keep(CAP_NET_ADMIN);
    const bool bpf = GENERATE(true, false);
    if (bpf) keep(CAP_BPF);
    REQUIRE(::syscall(SYS_capset, &header, fewer.data()) == 0);
    const auto device = tun::Device::open({.queues = 2});
    REQUIRE(::syscall(SYS_capset, &header, rights.data()) == 0);
    REQUIRE(device);
    if (bpf) CHECK(device->arrivals_trouble() == "");
    if (!bpf && !device->arrivals_trouble().empty()) CHECK_THAT(device->arrivals_trouble(), Catch::Contains("CAP_BPF"));
}
