#include "loop/resolver.hpp"

#include <ares.h>
#include <sys/stat.h>

#include <map>
#include <stdexcept>

#include "loop/fd_watch.hpp"
#include "loop/socket_address.hpp"
#include "loop/timer.hpp"
#include "loop/underlay_mark.hpp"
#include "loop/upstream_servers.hpp"

// A name server on this machine asks others by the machine's default route. Where that leads into the mesh, and the name is
// the one that the mesh cannot be reached without, there is no answer; so the servers behind it come after it, and are
// asked from a socket of ours, which goes beside the mesh.
//
// c-ares tells which descriptors to watch and asks to be called at its deadlines. An answer is handed over by the
// loop's defer(): never from inside c-ares, where its channel must not be destroyed.

namespace loop {

struct Resolver::Inner : std::enable_shared_from_this<Inner> {
    /// What one query carries through c-ares.
    struct Query {
        Inner* resolver;
        std::uint64_t id;
        std::string name;
    };

    Inner(Loop& on, Options chosen)
        : loop(on), options(std::move(chosen)), timer(on, [this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }) {
        open();
    }
    ~Inner() { close(); }

    void open();
    void close();
    void reopen_if_changed();
    void process(ares_socket_t readable, ares_socket_t writable);
    void watch(ares_socket_t socket, bool read, bool write);
    void rearm();
    void answer(std::uint64_t id, net::Result<Addresses> result) { answer(addresses_asked, id, std::move(result)); }
    void answer(std::uint64_t id, net::Result<net::Bytes> result) { answer(messages_asked, id, std::move(result)); }
    template <class Value>
    using Asked = std::map<std::uint64_t, std::function<void(net::Result<Value>)>>;
    template <class Value>
    void answer(Asked<Value>& asked, std::uint64_t id, net::Result<Value> result);

    Loop& loop;
    Options options;
    ares_channel channel = nullptr;
    Timer timer;
    std::map<ares_socket_t, std::unique_ptr<FdWatch>> watches;
    Asked<Addresses> addresses_asked;
    Asked<net::Bytes> messages_asked;
    std::uint64_t last_id = 0;
    timespec configuration_changed{};
};

namespace {

timespec changed_at(const char* path) {
    struct stat status {};
    return ::stat(path, &status) == 0 ? status.st_mtim : timespec{};
}

constexpr int kClassIn = 1;  // RFC 1035 section 3.2.4
constexpr const char* kConfiguration = "/etc/resolv.conf";

struct FreeServers {
    void operator()(ares_addr_port_node* servers) const { ares_free_data(servers); }
};

/// What else to ask if a server of this machine's own fails; ARES_SUCCESS also if there is nothing.
int add_upstream_servers(ares_channel channel) {
    ares_addr_port_node* raw = nullptr;
    if (const int status = ares_get_servers_ports(channel, &raw); status != ARES_SUCCESS) return status;
    const std::unique_ptr<ares_addr_port_node, FreeServers> configured(raw);
    std::string servers;
    for (const auto* one = raw; one != nullptr; one = one->next) {
        const std::size_t size = one->family == AF_INET ? 4 : 16;
        const auto address = net::IpAddress::from_bytes({reinterpret_cast<const std::byte*>(&one->addr), size});
        if (!address.is_loopback()) return ARES_SUCCESS;
        if (!servers.empty()) servers += ',';
        servers += address.text();
    }
    const auto upstream = upstream_servers();
    if (servers.empty() || upstream.empty()) return ARES_SUCCESS;
    for (const auto& address : upstream) {
        servers += ',';
        servers += address.text();
    }
    return ares_set_servers_csv(channel, servers.c_str());
}

tl::unexpected<net::Error> to_error(const std::string& name, int status) {
    switch (status) {
        case ARES_ENOTFOUND:
        case ARES_ENODATA: return net::fail("no such name: " + name);
        case ARES_ETIMEOUT:
        case ARES_ECONNREFUSED: return net::fail("no name server answers for " + name);
        default: return net::fail("cannot resolve " + name + ": " + ares_strerror(status));
    }
}

net::Result<Addresses> to_result(const std::string& name, int status, const ares_addrinfo* found) {
    if (status != ARES_SUCCESS) return to_error(name, status);
    Addresses out;
    std::optional<int> ttl;
    for (const auto* node = found->nodes; node != nullptr; node = node->ai_next) {
        if (const auto endpoint = to_endpoint(node->ai_addr); !endpoint.is_none()) {
            out.addresses.push_back(endpoint.address);
            ttl = std::min(ttl.value_or(node->ai_ttl), node->ai_ttl);
        }
    }
    if (out.addresses.empty()) return net::fail("no such name: " + name);
    out.ttl = std::chrono::seconds(std::max(ttl.value_or(0), 0));
    return out;
}

}  // namespace

void Resolver::Inner::open() {
    configuration_changed = changed_at(kConfiguration);
    ares_options settings{};
    settings.timeout = static_cast<int>(options.timeout.count());
    settings.tries = options.tries;
    settings.sock_state_cb_data = this;
    settings.sock_state_cb = [](void* data, ares_socket_t socket, int read, int write) {
        static_cast<Inner*>(data)->watch(socket, read != 0, write != 0);
    };
    int status = ares_init_options(&channel, &settings, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS && !options.servers.empty()) {
        std::string servers;
        for (const auto& server : options.servers) {
            if (!servers.empty()) servers += ',';
            servers += server.text();
        }
        status = ares_set_servers_ports_csv(channel, servers.c_str());
    } else if (status == ARES_SUCCESS) {
        status = add_upstream_servers(channel);
    }
    if (status == ARES_SUCCESS) {
        // Between socket() and connect(). Zero is success.
        ares_set_socket_configure_callback(channel, [](ares_socket_t socket, int, void*) { return mark_underlay(socket), 0; }, nullptr);
    }
    if (status != ARES_SUCCESS) {
        throw std::runtime_error(std::string("cannot start the DNS client: ") + ares_strerror(status));
    }
}

void Resolver::Inner::close() {
    if (channel != nullptr) ares_destroy(channel);  // calls back each query with ARES_EDESTRUCTION
    channel = nullptr;
    watches.clear();
}

void Resolver::Inner::reopen_if_changed() {
    if (!addresses_asked.empty() || !messages_asked.empty()) return;
    const auto changed = changed_at(kConfiguration);
    if (changed.tv_sec == configuration_changed.tv_sec && changed.tv_nsec == configuration_changed.tv_nsec) return;
    close();
    open();
}

void Resolver::Inner::watch(ares_socket_t socket, bool read, bool write) {
    if (!read && !write) {
        watches.erase(socket);
        return;
    }
    auto& watch = watches[socket];
    if (!watch) {
        watch = std::make_unique<FdWatch>(loop, socket, [this, socket](Readiness readiness) {
            process(readiness.readable || readiness.error ? socket : ARES_SOCKET_BAD,
                    readiness.writable ? socket : ARES_SOCKET_BAD);
        });
    }
    watch->want(read, write);
}

void Resolver::Inner::process(ares_socket_t readable, ares_socket_t writable) {
    ares_process_fd(channel, readable, writable);
    rearm();
}

void Resolver::Inner::rearm() {
    timeval left{};
    if (ares_timeout(channel, nullptr, &left) == nullptr) {
        timer.cancel();
    } else {
        // c-ares compares whole milliseconds: one more keeps the timer from coming just too early.
        timer.after(std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec + 1000));
    }
}

template <class Value>
void Resolver::Inner::answer(Asked<Value>& asked, std::uint64_t id, net::Result<Value> result) {
    loop.defer([weak = weak_from_this(), &asked, id, result = std::move(result)] {
        const auto self = weak.lock();  // and with it `asked`
        if (!self) return;
        const auto found = asked.find(id);
        if (found == asked.end()) return;
        const auto done = std::move(found->second);
        asked.erase(found);
        done(result);
    });
}

Resolver::Resolver(Loop& loop, Options options) : inner_(std::make_shared<Inner>(loop, std::move(options))) {}

Resolver::~Resolver() {
    inner_->addresses_asked.clear();
    inner_->messages_asked.clear();
}

void Resolver::resolve(const std::string& name, std::function<void(net::Result<Addresses>)> done) {
    auto& in = *inner_;
    const auto id = ++in.last_id;
    in.reopen_if_changed();
    in.addresses_asked.emplace(id, std::move(done));
    if (const auto address = net::IpAddress::parse(name)) {
        return in.answer(id, Addresses{{*address}, std::chrono::seconds(0)});
    }
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    ares_getaddrinfo(
        in.channel, name.c_str(), nullptr, &hints,
        [](void* argument, int status, int, ares_addrinfo* found) {
            const std::unique_ptr<Inner::Query> query(static_cast<Inner::Query*>(argument));
            const std::unique_ptr<ares_addrinfo, decltype(&ares_freeaddrinfo)> owner(found, &ares_freeaddrinfo);
            if (status == ARES_EDESTRUCTION) return;
            query->resolver->answer(query->id, to_result(query->name, status, found));
        },
        new Inner::Query{&in, id, name});
    in.rearm();
}

void Resolver::ask(const std::string& name, std::uint16_t type, std::function<void(net::Result<net::Bytes>)> done) {
    auto& in = *inner_;
    const auto id = ++in.last_id;
    in.reopen_if_changed();
    in.messages_asked.emplace(id, std::move(done));
    ares_query(
        in.channel, name.c_str(), kClassIn, type,
        [](void* argument, int status, int, unsigned char* message, int size) {
            const std::unique_ptr<Inner::Query> query(static_cast<Inner::Query*>(argument));
            if (status == ARES_EDESTRUCTION) return;
            const bool said = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
            net::Result<net::Bytes> result = to_error(query->name, status);
            if (said && message != nullptr && size > 0) {
                result = net::copy(std::as_bytes(std::span(message, static_cast<std::size_t>(size))));
            }
            query->resolver->answer(query->id, std::move(result));
        },
        new Inner::Query{&in, id, name});
    in.rearm();
}

}  // namespace loop
