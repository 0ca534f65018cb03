#include "meshd/store.hpp"

#include <chrono>
#include <optional>

#include "meshd/database.hpp"

namespace meshd {

Store::Store(const std::string& folder, Callbacks callbacks)
    : callbacks_(std::move(callbacks)), folder_(folder), database_(std::make_unique<Database>(folder_)) {
    loaded_ = database_->load();
    has_identity_ = loaded_.identity.has_value();
    thread_ = std::thread([this] { run(); });
}

Store::~Store() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    woken_.notify_one();
    thread_.join();
}

void Store::submit(Batch batch, Durability durability, Task safe) {
    if (batch.identity) {
        if (has_identity_) throw StateError("the state folder " + folder_.path() + " belongs to a mesh already");
        has_identity_ = true;
    }
    {
        const std::lock_guard lock(mutex_);
        waiting_.merge(std::move(batch));
        waiting_synced_ |= durability == Durability::synced;
        if (safe) waiting_safe_.push_back(std::move(safe));
        work_ = true;
    }
    woken_.notify_one();
}

void Store::run() {
    constexpr auto kTryAgainAfter = std::chrono::seconds(1);
    std::string trouble;
    const auto tell = [&](const std::string& why) {
        if (why == trouble) return;
        trouble = why;
        if (callbacks_.trouble) callbacks_.post([tell = callbacks_.trouble, why] { tell(why); });
    };

    std::unique_lock lock(mutex_);
    for (;;) {
        if (trouble.empty()) {
            woken_.wait(lock, [&] { return work_ || ending_; });
        } else {
            woken_.wait_for(lock, kTryAgainAfter, [&] { return ending_; });
        }
        if (!work_) return;
        auto batch = std::exchange(waiting_, {});
        auto safe = std::exchange(waiting_safe_, {});
        const bool synced = std::exchange(waiting_synced_, false);
        const bool last = ending_;
        work_ = false;
        lock.unlock();

        std::optional<std::string> failure;
        try {
            if (synced || !batch.empty()) database_->write(batch, synced);
        } catch (const StateError& error) {
            failure = error.what();
        }
        tell(failure.value_or(""));
        if (!failure && !safe.empty()) {
            callbacks_.post([safe = std::move(safe)] {
                for (const auto& task : safe) task();
            });
        }

        lock.lock();
        if (!failure) continue;
        if (last) return;
        // Back in front of what came meanwhile.
        batch.merge(std::move(waiting_));
        waiting_ = std::move(batch);
        safe.insert(safe.end(), std::make_move_iterator(waiting_safe_.begin()),
                    std::make_move_iterator(waiting_safe_.end()));
        waiting_safe_ = std::move(safe);
        waiting_synced_ |= synced;
        work_ = true;
    }
}

}  // namespace meshd
