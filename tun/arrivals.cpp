#include "tun/arrivals.hpp"

#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "tun/bpf.hpp"

namespace tun {
namespace {

// The program knows the layout.
using Note = ArrivalNotes::Note;
static_assert(sizeof(Note) == 16 && offsetof(Note, steady_ns) == 0 && offsetof(Note, bytes) == 8);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && (ArrivalNotes::kNotes & (ArrivalNotes::kNotes - 1)) == 0);
constexpr std::size_t kCountAt = offsetof(ArrivalNotes, count), kBytesAt = offsetof(ArrivalNotes, bytes),
                      kNotesAt = offsetof(ArrivalNotes, notes);

/// `queues` is a power of two. Runs for each packet just before it is put into its queue, after all that may have cut it into several. What it returns
/// is how many bytes of it are kept.
auto program(int notes_fd, std::size_t queues) {
    using namespace bpf;
    return std::array{
        copy(kPacket, kArgument),
        call(BPF_FUNC_ktime_get_ns),
        // kKept: the queue's notes. In two instructions, as the address has 64 bits.
        instruction(BPF_LD | BPF_IMM | BPF_DW, kKept, BPF_PSEUDO_MAP_VALUE, 0, notes_fd),
        instruction(0, 0, 0, 0, 0),
        load_about(kArgument, offsetof(__sk_buff, queue_mapping)),
        mask(kArgument, static_cast<std::int32_t>(queues - 1)),
        multiply(kArgument, sizeof(ArrivalNotes)),
        add(kKept, kArgument),
        load_about(kKept2, offsetof(__sk_buff, len)),
        copy(kArgument2, kKept2),
        fetch_add(kKept, kBytesAt, kArgument2),
        add(kArgument2, kKept2),
        set(kArgument, 1),
        fetch_add(kKept, kCountAt, kArgument),
        // kKept: its note
        mask(kArgument, ArrivalNotes::kNotes - 1),
        multiply(kArgument, sizeof(Note)),
        add(kKept, kArgument),
        store(kKept, kNotesAt + offsetof(Note, steady_ns), kResult),
        store(kKept, kNotesAt + offsetof(Note, bytes), kArgument2),
        copy(kResult, kKept2),
        end(),
    };
}

net::Error trouble(const char* what, int error) {
    std::string message = std::string("the kernel does not ") + what + ": " + std::strerror(error);
    if (error == EPERM || error == EACCES) message += "; give meshd CAP_BPF";
    return {message};
}

/// Closes a descriptor at the end of its scope.
struct Closed {
    int fd;
    ~Closed() {
        if (fd >= 0) ::close(fd);
    }
};

}  // namespace

Arrivals::Arrivals(std::shared_ptr<const ArrivalNotes> notes, unsigned most_waiting)
    : notes_(std::move(notes)), most_waiting_(std::min<std::size_t>(most_waiting, ArrivalNotes::kNotes / 2)) {}

void Arrivals::before_reading() { before_ = notes_->count.load(std::memory_order_relaxed); }

std::optional<Arrival> Arrivals::taken() {
    const auto count = notes_->count.load(std::memory_order_acquire);
    if (next_ >= count) {  // it came past the program
        next_ = count;
        return std::nullopt;
    }
    next_ = std::max(next_, count - std::min(count, most_waiting_ + 1));
    const auto& note = notes_->notes[next_++ % ArrivalNotes::kNotes];
    const auto bytes = note.bytes.load(std::memory_order_relaxed), all = notes_->bytes.load(std::memory_order_relaxed);
    const auto at = std::chrono::nanoseconds(static_cast<std::int64_t>(note.steady_ns.load(std::memory_order_relaxed)));
    return Arrival{net::Steady(at), all > bytes ? all - bytes : 0};
}

net::Result<std::vector<Arrivals>> note_arrivals(int queue_fd, std::size_t queues, unsigned queue_packets) {
    const auto noted = std::bit_ceil(queues);
    const auto bytes = noted * sizeof(ArrivalNotes);
    bpf_attr map{};
    map.map_type = BPF_MAP_TYPE_ARRAY;
    map.key_size = sizeof(std::uint32_t);
    map.value_size = static_cast<std::uint32_t>(bytes);
    map.max_entries = 1;
    map.map_flags = BPF_F_MMAPABLE;
    const Closed notes{bpf::system_call(BPF_MAP_CREATE, map)};
    if (notes.fd < 0) return tl::unexpected(trouble("share memory with a program", errno));
    auto* const memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, notes.fd, 0);
    if (memory == MAP_FAILED) return tl::unexpected(trouble("share memory with a program", errno));
    const std::shared_ptr<const ArrivalNotes[]> all(static_cast<const ArrivalNotes*>(memory), [bytes](const ArrivalNotes* mapped) {
        ::munmap(const_cast<ArrivalNotes*>(mapped), bytes);
    });
    const Closed loaded{bpf::load(program(notes.fd, noted))};
    if (loaded.fd < 0) return tl::unexpected(trouble("load a program that notes when packets come", errno));
    if (::ioctl(queue_fd, TUNSETFILTEREBPF, &loaded.fd) != 0) {
        return tl::unexpected(trouble("take a program that notes when packets come", errno));
    }
    std::vector<Arrivals> out;
    for (std::size_t i = 0; i < queues; ++i) {
        out.emplace_back(std::shared_ptr<const ArrivalNotes>(all, &all[static_cast<std::ptrdiff_t>(i)]), queue_packets);
    }
    return out;
}

}  // namespace tun
