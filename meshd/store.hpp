/// What meshd must not lose, written by a thread of its own: the control thread hands over batches and hears when they
/// are safe.
///
/// What waits is merged into one batch, so that a busy disk is given one transaction, and memory is bounded by the
/// state itself. Order holds: when a batch is safe, so are all before it. A write that fails (a full disk) is tried
/// again every second, and meanwhile nothing behind it becomes safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "meshd/batch.hpp"
#include "meshd/state_folder.hpp"

namespace meshd {

class Database;

enum class Durability { written, synced };  ///< survives meshd's crash; survives the machine's

class Store {
public:
    using Task = std::function<void()>;
    struct Callbacks {
        /// Runs a task on the control thread; called from the store's thread, and must stay good as long as the store.
        std::function<void(Task)> post;
        /// On the control thread: why nothing can be written at present, and, empty, that it can again.
        std::function<void(const std::string& why)> trouble;
    };

    /// Opens, checks and locks the folder, creating it if it is missing. Blocks. Throws StateError.
    Store(const std::string& folder, Callbacks callbacks);
    /// Writes what waits (once: if that fails it is lost), then ends. Tasks may still be posted while it does.
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// What was there at start, to be taken once.
    StoredState take_loaded() { return std::move(loaded_); }
    const StateFolder& folder() const { return folder_; }

    /// Control thread. `safe` is posted once the batch is; an empty batch is safe when all before it are. A batch with
    /// an identity is always synced; there may be only one in a folder's life (StateError).
    void submit(Batch batch, Durability durability, Task safe = {});

private:
    void run();

    Callbacks callbacks_;
    StateFolder folder_;
    std::unique_ptr<Database> database_;
    StoredState loaded_;
    bool has_identity_ = false;

    std::mutex mutex_;
    std::condition_variable woken_;
    // Under mutex_:
    Batch waiting_;
    bool waiting_synced_ = false;
    std::vector<Task> waiting_safe_;
    bool work_ = false;
    bool ending_ = false;

    std::thread thread_;
};

}  // namespace meshd
