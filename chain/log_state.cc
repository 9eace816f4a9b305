#include "chain/log_state.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "chain/store.h"
#include "lattice/theories.h"

namespace flowloom {
namespace {

// Raised whenever the fields below, or what they mean, change.
constexpr std::uint32_t kSnapshotRevision = 1;

struct Saver {
  std::string bytes;

  template <class T>
    requires std::is_trivially_copyable_v<T>
  void operator()(const T& value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void operator()(const std::string& text) {
    (*this)(static_cast<std::uint64_t>(text.size()));
    bytes += text;
  }
};

struct Loader {
  std::string_view bytes;
  bool good = true;

  template <class T>
    requires std::is_trivially_copyable_v<T>
  void operator()(T& value) {
    std::array<char, sizeof(T)> raw{};
    if (const auto taken = take(sizeof(T)); good) std::ranges::copy(taken, raw.begin());
    if constexpr (std::is_same_v<T, bool>) {
      value = raw[0] != 0;
    } else {
      std::memcpy(static_cast<void*>(&value), raw.data(), sizeof(T));  // zero after the end: no count runs away
    }
  }
  void operator()(std::string& text) {
    std::uint64_t size = 0;
    (*this)(size);
    text = std::string(take(size));
  }

 private:
  std::string_view take(std::uint64_t size) {
    good = good && size <= bytes.size();
    if (!good) return {};
    const std::string_view taken = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return taken;
  }
};

}  // namespace

LogState::LogState(const RunSpec& run) : run_(run), statistics_(make_theory(run.theory)), end_(run) {}

void LogState::add(const Record& record) {
  end_.add(record);
  if (const auto* unit = std::get_if<UnitRecord>(&record)) {
    statistics_.add(*unit);
    frontier_ = unit->data.first_index + unit->data.count();
    const auto last = std::find(unit->accepted.rbegin(), unit->accepted.rend(), std::uint8_t{1});
    if (last != unit->accepted.rend()) {
      current_ = state_at(unit->data, static_cast<std::size_t>(unit->accepted.rend() - last) - 1);
    }
  } else if (const auto* reweigh = std::get_if<ReweighRecord>(&record)) {
    if (current_) current_->log_q = reweigh->log_q;
  } else if (std::holds_alternative<SwitchRecord>(record)) {
    ++switches_;
  }
}

template <class Visit>
void LogState::visit_state(Visit& visit) {
  visit(frontier_), visit(switches_);
  bool any = current_.has_value();
  visit(any);
  if (any && !current_) current_.emplace();
  if (!any) current_.reset();
  if (any) {
    visit(current_->index), visit(current_->version), visit(current_->log_p), visit(current_->log_q);
    visit(current_->drawn_log_q);
  }
  statistics_.visit_state(visit);
  end_.visit_state(visit);
}

std::string LogState::save() const {
  Saver saver;
  saver(kSnapshotRevision), saver(run_.identity());
  LogState copy = *this;  // what visits may also replace
  copy.visit_state(saver);
  return std::move(saver.bytes);
}

bool LogState::load(std::string_view bytes) {
  Loader loader{bytes};
  std::uint32_t revision = 0;
  Sha256 identity{};
  loader(revision), loader(identity);
  bool good = loader.good && revision == kSnapshotRevision && identity == run_.identity();
  if (good) visit_state(loader);
  good = good && loader.good && loader.bytes.empty();
  if (!good) *this = LogState(run_);
  return good;
}

SavedState saved_state(const Store& store, const RunSpec& run) {
  SavedState saved{LogState(run)};
  const auto snapshot = store.snapshot();
  if (snapshot && saved.state.load(snapshot->state)) saved.sequence = snapshot->sequence;
  return saved;
}

}  // namespace flowloom
