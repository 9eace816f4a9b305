#include "client/source.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <optional>

#include "chain/status_reply.h"
#include "chain/store.h"
#include "client/offline_status.h"
#include "flow/catalog.h"
#include "program/address.h"
#include "program/program.h"
#include "program/retry.h"
#include "program/rpc.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {
namespace {

class StoreSource final : public Source {
 public:
  explicit StoreSource(const RunDirectory& directory)
      : store_(Store::open(directory.store(), Store::Mode::kReadOnly)), run_(directory.read_run(load_run_text)) {}

  bool live() const override { return false; }
  const RunSpec& run() override { return run_; }
  v1::StatusReply status() override { return offline_status(store_, run_); }
  v1::ListReply models() override { return list_reply(store_.models(), store_.switches()); }
  std::vector<v1::TrainingPoint> training() override {
    return store_.training(-1, std::numeric_limits<std::int64_t>::max());
  }
  std::string head() override { return to_hex(store_.head()); }
  std::string run_id() const { return store_.run_id(); }
  bool complete() const { return store_.frontier() >= chain_end(store_, run_); }
  std::vector<UnitRecord> some_units(std::uint64_t first_index) const { return store_.units(first_index, kAtOnce); }
  static constexpr std::size_t kAtOnce = 64;
  void watch(double, std::stop_token, const std::function<bool(const v1::StatusReply&)>& visit) override {
    visit(status());
  }
  void units(std::uint64_t first_index, bool, std::stop_token stop,
             const std::function<bool(const UnitRecord&)>& visit) override {
    for (std::uint64_t next = first_index; !stop.stop_requested();) {
      const auto units = some_units(next);
      for (const UnitRecord& unit : units) {
        if (!visit(unit)) return;
      }
      if (units.size() < kAtOnce) return;
      next = units.back().data.first_index + units.back().data.count();
    }
  }

 private:
  Store store_;
  RunSpec run_;
};

// False if `owner` ran on this host and is gone: its announcement outlived it.
bool may_run(const Owner& owner) {
  return owner.host != host_name() || ::kill(static_cast<pid_t>(owner.pid), 0) == 0 || errno == EPERM;
}

std::string described(const Owner& owner) {
  return "process " + std::to_string(owner.pid) + " on " + owner.host + ", " + owner.address;
}

class LiveSource final : public Source {
 public:
  LiveSource(std::string where, ConnectionOptions options)
      : where_(std::move(where)), options_(std::move(options)), connection_(find()) {}

  bool live() const override { return true; }
  const RunSpec& run() override {
    if (!run_) run_ = load_run_text(connection_.describe().run_file(), "the run file of " + connection_.address());
    return *run_;
  }
  v1::StatusReply status() override { return connection_.status(); }
  v1::ListReply models() override { return connection_.models(); }
  std::vector<v1::TrainingPoint> training() override { return connection_.training(); }
  std::string head() override { return status().head(); }
  void watch(double interval, std::stop_token stop, const std::function<bool(const v1::StatusReply&)>& visit) override {
    persist(
        stop, options_.wait,
        [&](const auto& answered) {
          connection_.watch_status(interval, stop, [&](const v1::StatusReply& status) {
            answered();
            return visit(status);
          });
        },
        [&] {
          const auto store = left_behind(true);
          if (store) visit(store->status());
          return store != nullptr;
        });
  }
  void units(std::uint64_t first_index, bool follow, std::stop_token stop,
             const std::function<bool(const UnitRecord&)>& visit) override {
    const auto take = [&](const UnitRecord& unit) {
      first_index = unit.data.first_index + unit.data.count();
      return visit(unit);
    };
    persist(
        stop, follow ? options_.wait : options_.wait.value_or(kUnfollowed),
        [&](const auto& answered) {
          connection_.stream_states(first_index, follow, stop, [&](const UnitRecord& unit) {
            answered();
            return take(unit);
          });
        },
        [&] { return read_rest(first_index, follow, stop, take); });
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::milliseconds kUnfollowed =
      limits::kUnaryDeadline;  // is awaited, if nothing is followed

  Connection find() const { return Connection(find_coordinator(where_, options_), last_seen_); }

  // The store of the run that was being looked at, if its coordinator has left; `complete`: and its chain is.
  std::unique_ptr<StoreSource> left_behind(bool complete) const {
    if (is_address(where_)) return {};
    try {
      const RunDirectory directory(where_);
      if (const auto owner = directory.owner(); owner && may_run(*owner)) return {};
      auto store = std::make_unique<StoreSource>(directory);
      const std::string run_id = last_seen_->get().run_id();
      const bool same = run_id.empty() || run_id == store->run_id();
      return same && (!complete || store->complete()) ? std::move(store) : nullptr;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCorrupt) throw;
      return {};  // somebody has it: perhaps the next coordinator
    }
  }

  // The rest of a chain that was left behind; false if that cannot be read now. The store is held for a moment at a
  // time, because others may want it and `visit` may take long.
  template <class Visit>
  bool read_rest(const std::uint64_t& first_index, bool complete, std::stop_token stop, Visit visit) const {
    while (!stop.stop_requested()) {
      auto store = left_behind(complete);
      if (!store) return false;
      const auto units = store->some_units(first_index);
      store.reset();
      for (const UnitRecord& unit : units) {
        if (!visit(unit)) return true;
      }
      if (units.size() < StoreSource::kAtOnce) return true;
    }
    return true;
  }

  // Makes the call, which says when it is answered; again, on a new connection, whenever it was and the connection is
  // lost, unless `otherwise` has done what was left to do.
  template <class Call, class Otherwise>
  void persist(std::stop_token stop, std::optional<std::chrono::milliseconds> wait, Call call, Otherwise otherwise) {
    Retry retry("the coordinator of '" + where_ + "'", options_.say);
    bool known = false;
    std::optional<Clock::time_point> lost;
    const auto answered = [&] {
      known = true;
      lost.reset();
      retry.succeeded();
    };
    for (bool again = false;; again = true) {
      try {
        if (again) connection_ = find();
        return call(answered);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kUnavailable) throw;
        if (otherwise()) return;
        if (!known) throw;
        if (!lost) lost = Clock::now();
        if (wait && Clock::now() - *lost >= *wait) throw;
        if (!retry.failed(error.what(), stop, error.retry_after())) return;
      }
    }
  }

  std::string where_;
  ConnectionOptions options_;
  std::shared_ptr<LastSeen> last_seen_ = std::make_shared<LastSeen>();
  Connection connection_;
  std::optional<RunSpec> run_;
};

}  // namespace

std::unique_ptr<Source> open_store_source(const std::filesystem::path& directory) {
  return std::make_unique<StoreSource>(RunDirectory(directory));
}

std::unique_ptr<Source> open_source(const std::string& where, const ConnectionOptions& options) {
  if (is_address(where)) return std::make_unique<LiveSource>(where, options);
  const RunDirectory directory(where);
  if (!directory.exists()) find_coordinator(where, options);  // throws the sentence
  const auto owner = directory.owner();
  if (owner && may_run(*owner)) {
    if (owner->host != host_name() && is_loopback(owner->address)) {
      throw Error(ErrorCode::kUnavailable, "'" + where + "' is served on another host's loopback only (" +
                                               described(*owner) +
                                               "); ask there, or start its coordinator with --listen.");
    }
    try {
      auto source = std::make_unique<LiveSource>(where, options);
      source->status();
      return source;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable) throw;
    }
  }
  try {
    return std::make_unique<StoreSource>(directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInUse) throw;
    throw Error(ErrorCode::kInUse,
                "'" + where + "' is held by another process, but no coordinator answers for it" +
                    (owner ? " (announced: " + described(*owner) + ")" : "") +
                    ": it is starting, or hangs, or another command reads the store. Try again in a moment.");
  }
}

ChainAnalysis::Result analyse(Source& source, std::uint64_t burn_in) {
  ChainAnalysis analysis(make_theory(source.run().theory));
  source.units(0, false, {}, [&](const UnitRecord& unit) {
    analysis.add(unit);
    return true;
  });
  return analysis.result(burn_in);
}

}  // namespace flowloom
