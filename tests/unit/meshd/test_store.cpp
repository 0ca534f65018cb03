#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <future>
#include <sstream>

#include "meshd/database.hpp"
#include "meshd/store.hpp"
#include "net/random.hpp"
#include "net/text.hpp"
#include "scratch.hpp"

using Catch::Matchers::Contains;
using meshd::Batch;
using meshd::Durability;
using meshd::StateError;
using meshd::Store;

namespace {

net::Bytes stored_bytes(std::string_view text) {
    return net::copy(net::as_bytes(text));
}

mesh::NodeIdentity identity_with(bool root) {
    net::SeededRandom random(root ? 1 : 2);
    mesh::NodeIdentity identity;
    random.fill(identity.node_secret.fill());
    random.fill(identity.tunnel_secret.fill());
    identity.mesh_name = "acme";
    random.fill(identity.mesh_id.bytes);
    if (root) {
        random.fill(identity.root_secret.emplace().fill());
        identity.mesh_id = *net::NodeKey::from(identity.root_secret->view().last(32));
    }
    return identity;
}

/// Tasks run on the store's thread: what waits for them here is the test.
Store::Callbacks at_once() {
    return {[](Store::Task task) { task(); }, {}};
}

void put(Store& store, Batch batch, Durability durability = Durability::synced) {
    std::promise<void> safe;
    store.submit(std::move(batch), durability, [&] { safe.set_value(); });
    safe.get_future().wait();
}

Batch record(std::string_view key, std::string_view wire) {
    Batch batch;
    batch.records[stored_bytes(key)] = stored_bytes(wire);
    return batch;
}

Batch identity_batch(bool root) {
    Batch batch = record("k1", "one");
    batch.identity = identity_with(root);
    return batch;
}

std::string refusal(const std::string& folder) {
    try {
        const Store store(folder, at_once());
    } catch (const StateError& error) {
        return error.what();
    }
    return "opened";
}

unsigned mode(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

void overwrite(const std::string& path, std::size_t offset, std::string_view with) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << with;
}

std::string content(const std::string& path) {
    std::stringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
}

/// Runs `body` in a child process, which reports by what it writes into the pipe.
class Child {
public:
    template <class Body>
    explicit Child(Body body) {
        int ends[2];
        REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
        pid_ = fork();
        if (pid_ == 0) {
            body(ends[1]);
            _exit(0);
        }
        ::close(ends[1]);
        read_ = ends[0];
    }
    std::string read(std::size_t at_most) {
        std::string out(at_most, '\0');
        const auto size = ::read(read_, out.data(), out.size());
        out.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        return out;
    }
    void end(int signal = 0) {
        if (signal != 0) ::kill(pid_, signal);
        ::waitpid(pid_, nullptr, 0);
        ::close(read_);
    }
    pid_t pid() const { return pid_; }

private:
    pid_t pid_ = -1;
    int read_ = -1;
};

void say(int fd, const std::string& text) {
    if (::write(fd, text.data(), text.size()) < 0) _exit(9);
}

}  // namespace

TEST_CASE("a new state folder is private and empty") {
    const Scratch scratch;
    const auto folder = scratch.path("var/lib/meshd");
    Store store(folder, at_once());
    const auto loaded = store.take_loaded();
    CHECK_FALSE(loaded.identity);
    CHECK(loaded.records.empty());
    CHECK(loaded.values.empty());
    CHECK(mode(folder) == 0700);
    CHECK(mode(folder + "/state.db") == 0600);
    CHECK(mode(folder + "/state.db-wal") == 0600);
}

TEST_CASE("what was written is there again, the last word on each key") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    const auto node = *net::NodeKey::from(stored_bytes("0123456789abcdef0123456789abcdef"));
    const meshd::CachedEndpoint cached{
        {}, *net::Endpoint::parse("[2001:db8::1]:51820"), net::from_unix_seconds(1700000000)};
    {
        Store store(folder, at_once());
        Batch batch = identity_batch(true);
        batch.records[stored_bytes("k2")] = stored_bytes("two");
        batch.values["stamp"] = stored_bytes("9");
        batch.endpoints[node] = cached;
        put(store, batch);
        Batch later = record("k1", "newer");
        later.records[stored_bytes("k2")] = {};
        later.values["join"] = stored_bytes("x");
        put(store, later, Durability::written);
    }
    Store store(folder, at_once());
    const auto loaded = store.take_loaded();
    const auto expected = identity_with(true);
    REQUIRE(loaded.identity);
    CHECK(loaded.identity->mesh_name == "acme");
    CHECK(loaded.identity->mesh_id == expected.mesh_id);
    CHECK(loaded.identity->node_secret.equals(expected.node_secret));
    CHECK(loaded.identity->tunnel_secret.equals(expected.tunnel_secret));
    REQUIRE(loaded.identity->root_secret);
    CHECK(loaded.identity->root_secret->equals(*expected.root_secret));
    REQUIRE(loaded.records.size() == 1);
    CHECK(loaded.records[0] == stored_bytes("newer"));
    CHECK(loaded.values == std::map<std::string, net::Bytes>{{"stamp", stored_bytes("9")}, {"join", stored_bytes("x")}});
    REQUIRE(loaded.endpoints.size() == 1);
    CHECK(loaded.endpoints.at(node) == cached);
    for (const auto* key : {"root.key", "node.key", "tunnel.key"}) CHECK(mode(folder + "/" + key) == 0600);
}

TEST_CASE("what is handed over and not waited for is written before the store ends") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    {
        Store store(folder, at_once());
        for (int i = 0; i < 500; ++i) store.submit(record("k" + std::to_string(i), "x"), Durability::written);
    }
    CHECK(Store(folder, at_once()).take_loaded().records.size() == 500);
}

TEST_CASE("completions come in the order of submission") {
    const Scratch scratch;
    std::vector<int> order;
    {
        Store store(scratch.path("state"), at_once());
        for (int i = 0; i < 200; ++i) {
            const auto durability = i % 7 == 0 ? Durability::synced : Durability::written;
            store.submit(i % 5 == 0 ? Batch() : record("k", "x"), durability, [&order, i] { order.push_back(i); });
        }
    }
    REQUIRE(order.size() == 200);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a second opener is refused and told who the first is") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    {
        Child holder([&](int out) {
            const Store store(folder, at_once());
            say(out, "open");
            pause();
        });
        REQUIRE(holder.read(10) == "open");
        CHECK_THAT(refusal(folder), Contains("another meshd (process " + std::to_string(holder.pid()) + ") uses") &&
                                        Contains("stop it first"));
        holder.end(SIGKILL);
    }
    CHECK(refusal(folder) == "opened");  // the lock went with its holder
    const Store first(folder, at_once());
    CHECK_THAT(refusal(folder), Contains("another meshd (process " + std::to_string(getpid()) + ")"));
}

TEST_CASE("a batch that was told to be safe survives SIGKILL at once") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    for (const auto durability : {Durability::written, Durability::synced}) {
        const auto key = durability == Durability::synced ? "synced" : "written";
        Child child([&](int out) {
            Store store(folder, at_once());
            store.submit(record(key, "kept"), durability, [out] { say(out, "safe"); });
            pause();
        });
        REQUIRE(child.read(10) == "safe");
        child.end(SIGKILL);
    }
    CHECK(Store(folder, at_once()).take_loaded().records.size() == 2);
}

TEST_CASE("a crash in the middle of many batches leaves a beginning of them") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    Child child([&](int out) {
        Store store(folder, at_once());
        for (int i = 0;; ++i) {
            Batch batch = record("a" + std::to_string(i % 100), std::to_string(i));
            batch.values["a"] = batch.values["b"] = stored_bytes(std::to_string(i));
            store.submit(std::move(batch), Durability::written,
                         i == 300 ? Store::Task([out] { say(out, "go"); }) : Store::Task());
        }
    });
    REQUIRE(child.read(10) == "go");
    child.end(SIGKILL);
    Store store(folder, at_once());
    const auto loaded = store.take_loaded();
    CHECK(loaded.records.size() == 100);
    CHECK(loaded.values.at("a") == loaded.values.at("b"));
}

TEST_CASE("a state.db that is missing, empty or damaged is an error, never an empty roster") {
    const Scratch scratch;
    const auto folder = scratch.path("state"), database = folder + "/state.db";
    {
        Store store(folder, at_once());
        Batch batch = identity_batch(true);
        for (int i = 0; i < 200; ++i) batch.records[stored_bytes("r" + std::to_string(i))] = net::Bytes(500, std::byte(i));
        put(store, batch);
    }
    SECTION("missing beside its keys") {
        std::filesystem::remove(database);
        CHECK_THAT(refusal(folder), Contains("state.db is missing, but the keys beside it are there. Restore it"));
        CHECK_FALSE(std::filesystem::exists(database));
    }
    SECTION("empty") {
        std::filesystem::resize_file(database, 0);
        CHECK_THAT(refusal(folder), Contains("state.db is damaged"));
        CHECK(std::filesystem::file_size(database) == 0);
    }
    SECTION("no database") {
        overwrite(database, 0, std::string(4096, 'x'));
        CHECK_THAT(refusal(folder), Contains("state.db is damaged") && Contains("Restore it from a backup"));
    }
    SECTION("cut short") {
        std::filesystem::resize_file(database, std::filesystem::file_size(database) / 2);
        CHECK_THAT(refusal(folder), Contains("state.db is damaged"));
    }
    SECTION("overwritten in the middle") {
        overwrite(database, 12 * 4096, std::string(4096, '\x7f'));
        CHECK_THAT(refusal(folder), Contains("state.db is damaged"));
    }
    SECTION("unreadable") {
        std::filesystem::remove(database);
        std::filesystem::create_directory(database);
        CHECK_THAT(refusal(folder), Contains("cannot use " + database));
    }
    SECTION("of a newer meshd") {
        meshd::Sqlite(database).run("PRAGMA user_version=2");
        CHECK_THAT(refusal(folder), Contains("written by a newer meshd (schema 2, this one knows 1)"));
    }
    SECTION("another program's database") {
        meshd::Sqlite(database).run("PRAGMA application_id=7");
        CHECK_THAT(refusal(folder), Contains("no state of meshd"));
    }
}

TEST_CASE("a key file that is missing, damaged, readable by others or another one is an error without the key") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    {
        Store store(folder, at_once());
        put(store, identity_batch(true));
    }
    const auto key = folder + "/node.key";
    const auto secret = content(key).substr(0, 40);
    REQUIRE(secret.size() == 40);
    SECTION("missing") {
        std::filesystem::remove(folder + "/root.key");
        CHECK_THAT(refusal(folder), Contains("root.key is missing. Restore it from a backup"));
    }
    SECTION("cut short") {
        std::filesystem::resize_file(key, 40);
        CHECK_THAT(refusal(folder), Contains("node.key is damaged") && !Contains(secret));
    }
    SECTION("readable by others") {
        std::filesystem::permissions(key, std::filesystem::perms(0644));
        CHECK_THAT(refusal(folder), Contains("others may read the private key") && Contains("chmod 600"));
    }
    SECTION("of another node") {
        std::filesystem::copy_file(folder + "/root.key", key, std::filesystem::copy_options::overwrite_existing);
        CHECK_THAT(refusal(folder), Contains("node.key is not the key that belongs to"));
    }
}

TEST_CASE("keys that were written before a crash came between do not count") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    {
        const meshd::StateFolder state(folder);
        const meshd::Database database(state);
        state.write_secret("node.key", identity_with(true).node_secret.view());
    }
    Store store(folder, at_once());
    CHECK_FALSE(store.take_loaded().identity);
    put(store, identity_batch(false));
    CHECK(std::filesystem::exists(folder + "/node.key.old"));
}

TEST_CASE("a state folder belongs to one mesh for its life") {
    const Scratch scratch;
    Store store(scratch.path("state"), at_once());
    put(store, identity_batch(false));
    CHECK_THROWS_WITH(store.submit(identity_batch(true), Durability::synced), Contains("belongs to a mesh already"));
}

TEST_CASE("a folder in which others may write is refused, and left as it is") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    std::filesystem::create_directory(folder);
    std::filesystem::permissions(folder, std::filesystem::perms(0777));
    CHECK_THAT(refusal(folder), Contains("others may write in the state folder") && Contains("--state"));
    CHECK(std::filesystem::is_empty(folder));
    CHECK_THAT(refusal("/dev/null"), Contains("cannot open the state folder /dev/null"));
    CHECK_THAT(refusal("/proc/meshd/state"), Contains("cannot create the state folder /proc/meshd/state"));
}

TEST_CASE("a disk with no room left is an error at start") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    for (const rlim_t room : {0U, 4096U}) {
        Child child([&](int out) {
            signal(SIGXFSZ, SIG_IGN);
            const rlimit limit{room, room};
            setrlimit(RLIMIT_FSIZE, &limit);
            say(out, refusal(folder));
        });
        CHECK_THAT(child.read(4096), Contains("cannot") && Contains(folder + "/"));
        child.end();
    }
    CHECK(refusal(folder) == "opened");  // nothing half-made stays behind
}

TEST_CASE("a file system that is full is named so at start, and its state is there once there is room") {
    const Scratch scratch;
    const auto folder = scratch.path("disk");
    std::filesystem::create_directory(folder);
    Child child([&](int out) {
        if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
            mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=256k,mode=0700") != 0) {
            return say(out, "no namespaces");
        }
        const auto state = folder + "/state", ballast = folder + "/ballast";
        {
            Store store(state, at_once());
            put(store, record("k", "kept"));
        }
        std::ofstream(ballast) << std::string(1 << 20, 'x');
        const auto full = refusal(state);
        std::filesystem::remove(ballast);
        Store store(state, at_once());
        say(out, full + " | " + std::to_string(store.take_loaded().records.size()));
    });
    const auto said = child.read(4096);
    child.end();
    if (said == "no namespaces") {
        WARN("no mount namespaces here: not tested");
        return;
    }
    CHECK_THAT(said, Contains("the disk is full") && Contains(" | 1"));
}

TEST_CASE("while the disk is full nothing becomes safe, and it is written once there is room") {
    const Scratch scratch;
    const auto folder = scratch.path("state");
    Child child([&](int out) {
        signal(SIGXFSZ, SIG_IGN);
        std::promise<void> safe;
        std::mutex mutex;
        std::string told;
        const auto room = [](rlim_t bytes) {
            const rlimit limit{bytes, RLIM_INFINITY};
            setrlimit(RLIMIT_FSIZE, &limit);
        };
        std::promise<void> troubled;
        bool first = true;
        Store store(folder, {[](Store::Task task) { task(); },
                             [&](const std::string& why) {
                                 const std::lock_guard lock(mutex);
                                 told += why.empty() ? "|well" : "|trouble";
                                 if (std::exchange(first, false)) troubled.set_value();
                             }});
        room(1000);
        store.submit(record("a", std::string(100000, 'x')), Durability::synced, [&] {
            const std::lock_guard lock(mutex);
            told += "|safe";
            safe.set_value();
        });
        troubled.get_future().wait();
        store.submit(record("b", "y"), Durability::written);
        room(RLIM_INFINITY);
        safe.get_future().wait();
        const std::lock_guard lock(mutex);
        say(out, told);
    });
    CHECK_THAT(child.read(100), Contains("|trouble|well|safe"));
    child.end();
    CHECK(Store(folder, at_once()).take_loaded().records.size() == 2);
}
