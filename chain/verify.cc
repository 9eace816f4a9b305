#include "chain/verify.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <future>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "chain/chain.h"
#include "lattice/theories.h"
#include "spec/error.h"
#include "spec/files.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

// One record on its way through the checks. The reader fills in what follows from the records before; hashes and accept
// decisions, which take the time, need nothing else and are made on any thread.
struct Item {
  std::int64_t sequence = 0;
  std::string link;   // as stored
  std::string wrong;  // of its place among the others, or of its own
  Sha256 digest{};
  bool unit = false;
  std::optional<ChainState> entry;  // the state before the unit
  std::string flags, kind;
  std::vector<double> data;  // the row's bytes, in their place for numbers
  Row row;                   // of these
  std::uint64_t accepted = 0, invalid = 0;

  Item() = default;
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;
  void take(const Row& read);
  UnitView numbers() const {
    const std::span<const double> all(data);
    return {row.first_index, row.version, all.first(row.count), all.subspan(row.count, row.count)};
  }
  void check(NoiseKey key);
};

void Item::take(const Row& read) {
  kind = read.kind, flags = read.flags;
  data.resize((read.data.size() + sizeof(double) - 1) / sizeof(double));
  std::ranges::copy(read.data, reinterpret_cast<char*>(data.data()));
  row = read;
  row.kind = kind, row.flags = flags, row.data = {reinterpret_cast<const char*>(data.data()), read.data.size()};
}

void Item::check(NoiseKey key) {
  digest = canonical_digest(row);
  if (!unit || !wrong.empty()) return;
  const UnitView tested = numbers();
  const auto flag = unpack_flags(flags, row.count);
  Chain chain(key, tested.first_index, entry);
  if (const auto at = chain.follow(tested, flag)) {
    wrong = "the accept decision of proposal " + std::to_string(tested.first_index + *at) + " contradicts its numbers";
  }
  for (std::size_t k = 0; k < row.count; ++k) {
    accepted += flag[k];
    invalid += !stats::is_valid_proposal(tested.log_p[k], tested.log_q[k]);
  }
}

// The position of the last set flag.
std::optional<std::size_t> last_flag(std::string_view flags) {
  for (std::size_t byte = flags.size(); byte-- > 0;) {
    if (const auto bits = static_cast<unsigned char>(flags[byte])) return 8 * byte + std::bit_width(bits) - 1;
  }
  return {};
}

// Follows the order of records; each handler returns what is wrong, or "".
class Order {
 public:
  Order(const RunSpec& run, const std::vector<Store::Rewind>& rewinds)
      : run_(run), sums_(theory_sums(make_theory(run.theory)).size()), rewinds_(rewinds) {
    for (const auto& rewind : rewinds) marks_[rewind.kept];
  }

  const std::optional<ChainState>& current() const { return current_; }
  const std::vector<SwitchRecord>& switches() const { return switches_; }
  std::uint64_t frontier() const { return frontier_; }

  // `item` holds the row.
  std::string follow(const Item& item) {
    sequence_ = item.sequence;
    if (awaiting_reweigh_ && item.kind != "reweigh") return "it follows " + end();
    if (item.unit) return follow_unit(item);
    const Record record = from_row(item.row, "It");
    if (const auto* placed = std::get_if<SwitchRecord>(&record)) return follow(*placed);
    if (const auto* reweigh = std::get_if<ReweighRecord>(&record)) return follow(*reweigh);
    if (const auto* rewind = std::get_if<RewindRecord>(&record)) return follow(*rewind);
    return std::get<EventRecord>(record).at == frontier_ ? "" : "an event stands at the wrong proposal";
  }

  // What is wrong if no record follows.
  std::string end() const { return awaiting_reweigh_ ? "a switch, but the current state was not reweighed" : ""; }

 private:
  std::string follow_unit(const Item& item) {
    const UnitView unit = item.numbers();
    const std::string name = "unit " + std::to_string(unit.first_index / run_.unit);
    if (unit.first_index != frontier_) {
      return name + " stands where the unit of proposal " + std::to_string(frontier_) + " belongs";
    }
    if (unit.count() != run_.unit) return name + " does not have " + std::to_string(run_.unit) + " proposals";
    if (item.data.size() != (2 + sums_) * run_.unit) return name + " does not have the theory's columns";
    if (switches_.empty()) return name + " comes before any switch has named a version";
    if (unit.version != switches_.back().version) return name + " claims another version than the switch before it";
    if (const auto last = last_flag(item.flags)) current_ = state_at(unit, *last);
    frontier_ += unit.count();
    if (const auto mark = marks_.find(sequence_); mark != marks_.end()) {
      mark->second = {current_, switches_.size(), frontier_};
    }
    return "";
  }

  std::string follow(const SwitchRecord& record) {
    const std::string name = "the switch at proposal " + std::to_string(record.from);
    if (record.from != frontier_) return name + " stands at proposal " + std::to_string(frontier_);
    if (record.version == 0) return name + " names no version";
    if (!switches_.empty() && switches_.back().from == record.from) return name + " is the second one there";
    switches_.push_back(record);
    awaiting_reweigh_ = current_.has_value();
    return "";
  }

  std::string follow(const ReweighRecord& record) {
    const std::string name = "the reweigh of state " + std::to_string(record.index);
    if (!awaiting_reweigh_ || record.index != current_->index || record.version != switches_.back().version) {
      return name + " is not the current state's at a switch";
    }
    if (!std::isfinite(record.log_q)) return name + " is not finite";
    current_->log_q = record.log_q;
    awaiting_reweigh_ = false;
    return "";
  }

  std::string follow(const RewindRecord& record) {
    // Where it leads is the store's to say, as for every reader, and must be a unit's end that the chain has passed.
    const auto rewind = std::ranges::find(rewinds_, sequence_, &Store::Rewind::sequence);
    const auto back = rewind == rewinds_.end() ? marks_.end() : marks_.find(rewind->kept);
    if (back == marks_.end() || back->second.frontier != record.to || record.to > frontier_) {
      return "the rewind to proposal " + std::to_string(record.to) + " leads nowhere";
    }
    current_ = back->second.current;
    switches_.resize(back->second.switches);
    frontier_ = record.to;
    // What was left behind is no place to go back to any more.
    for (auto mark = std::next(back); mark != marks_.end() && mark->first < sequence_; ++mark) mark->second = {};
    return "";
  }

  struct Mark {
    std::optional<ChainState> current{};
    std::size_t switches = 0;
    std::uint64_t frontier = 0;
  };

  const RunSpec& run_;
  std::size_t sums_;
  std::uint64_t frontier_ = 0;
  std::optional<ChainState> current_;
  std::vector<SwitchRecord> switches_;
  bool awaiting_reweigh_ = false;
  const std::vector<Store::Rewind>& rewinds_;
  std::map<std::int64_t, Mark> marks_;  // the places that rewinds go back to: right after this record
  std::int64_t sequence_ = 0;           // of the record that is being followed
};

// What the tables beside the log say must follow from it (the last switch may be placed and not yet reached).
std::string check_tables(const Store& store, const Order& order) {
  const auto table = store.switches();
  const auto models = store.models();
  const auto& switches = order.switches();
  for (std::size_t i = 0; i < std::max(table.size(), switches.size()); ++i) {
    if (i >= switches.size() && table[i].from >= order.frontier()) continue;
    if (i >= table.size() || i >= switches.size() || table[i].from != switches[i].from ||
        table[i].version != switches[i].version || table[i].checkpoint != switches[i].checkpoint ||
        table[i].placement != switches[i].placement) {
      return "The table of switches is not the one of the log's records, from its row " + std::to_string(i + 1) +
             " on.";
    }
  }
  for (const SwitchRecord& row : switches) {
    const auto model =
        std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.version == row.version; });
    if (model == models.end() || model->sha256 != row.checkpoint) {
      return "Version " + std::to_string(row.version) +
             " in the table of models is not the checkpoint that the log names.";
    }
  }
  return "";
}

class Verifier {
 public:
  Verifier(const Store& store, const RunSpec& run, const std::function<void(std::uint64_t)>& progress, unsigned threads,
           const std::optional<Sha256>& remembered)
      : store_(store),
        run_(run),
        progress_(progress),
        remembered_(remembered),
        // The reader is one of them; batches that wait for it keep the others busy.
        ahead_(threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency())),
        order_(run, store.rewinds()) {}

  VerifyReport verify() {
    report_.head = run_.identity();
    if (store_.identity() != report_.head) {
      fail("The store's identity is not the one of its run file: one of them was changed.");
      return report_;
    }
    if (remembered_ == report_.head) report_.remembered = 0;
    try {
      store_.for_each_row(
          1, [&](std::int64_t sequence, const Row& row, std::string_view link) { return read(sequence, row, link); });
    } catch (const Error& error) {
      read_error_ = error.what();
    }
    dispatch();
    while (!batches_.empty()) take();
    if (report_.good && !read_error_.empty()) fail(read_error_);
    if (report_.good && !order_.end().empty()) fail("The log ends with " + order_.end() + ".");
    if (report_.good) {
      if (const std::string wrong = check_tables(store_, order_); !wrong.empty()) fail(wrong);
    }
    if (report_.good && remembered_ && !report_.remembered) {
      fail("No record of this log has the link " + to_hex(*remembered_) +
           ": it was cut off before there, or is another log.");
    }
    return report_;
  }

 private:
  static constexpr std::size_t kBatchBytes = 1 << 20;
  using Batch = std::deque<Item>;  // they stay where they are

  void fail(const std::string& sentence) {
    if (report_.good) report_.sentence = sentence;
    report_.good = false;
  }

  bool read(std::int64_t sequence, const Row& row, std::string_view link) {
    Item& item = batch_.emplace_back();
    item.sequence = sequence;
    item.link = link;
    item.take(row);
    item.entry = order_.current();
    try {
      if (row.kind == "unit") check_unit_row(row, "It");
      item.unit = row.kind == "unit";
      item.wrong = order_.follow(item);
    } catch (const Error& error) {
      item.wrong = error.what();
      item.wrong.pop_back();
    }
    const bool going = item.wrong.empty() && sequence == ++read_;
    bytes_ += row.data.size();
    if (bytes_ >= kBatchBytes) dispatch();
    return going && report_.good;
  }

  void dispatch() {
    if (batch_.empty()) return;
    bytes_ = 0;
    batches_.push_back(
        std::async(std::launch::async, [key = run_.noise_key(), batch = std::exchange(batch_, {})]() mutable {
          for (Item& item : batch) item.check(key);
          return std::move(batch);
        }));
    if (batches_.size() >= ahead_) take();
  }

  // The oldest batch: links it to what came before.
  void take() {
    const Batch batch = batches_.front().get();
    batches_.pop_front();
    for (const Item& item : batch) {
      if (!report_.good) return;
      const std::string name = "Record " + std::to_string(item.sequence);
      if (item.sequence != ++report_.records) {
        return fail(name + " follows record " + std::to_string(report_.records - 1) + ": one is missing.");
      }
      report_.head = next_link(report_.head, item.digest);
      if (item.link != bytes_of(report_.head)) {
        return fail(name + " was changed: its link does not follow from it and the record before.");
      }
      if (!item.wrong.empty()) return fail(name + ": " + item.wrong + ".");
      if (remembered_ == report_.head) report_.remembered = report_.records;
      count(item);
    }
    if (progress_) progress_(report_.proposals + report_.left_behind);
  }

  void count(const Item& item) {
    if (item.unit) {
      report_.proposals += run_.unit;
      report_.accepted += item.accepted, report_.invalid += item.invalid;
    }
    for (const auto& [sequence, kept] : store_.rewinds()) {
      if (kept == item.sequence) counts_[kept] = {report_.proposals, report_.accepted, report_.invalid};
      if (sequence != item.sequence) continue;
      const Counts& back = counts_[kept];
      report_.left_behind += report_.proposals - back.proposals;
      report_.proposals = back.proposals, report_.accepted = back.accepted, report_.invalid = back.invalid;
    }
  }

  const Store& store_;
  const RunSpec& run_;
  const std::function<void(std::uint64_t)>& progress_;
  const std::optional<Sha256>& remembered_;
  const std::size_t ahead_;
  Order order_;
  VerifyReport report_;
  std::string read_error_;
  std::int64_t read_ = 0;
  Batch batch_;
  std::size_t bytes_ = 0;
  std::deque<std::future<Batch>> batches_;
  struct Counts {
    std::uint64_t proposals = 0, accepted = 0, invalid = 0;
  };
  std::map<std::int64_t, Counts> counts_;  // right after the records that rewinds go back to
};

}  // namespace

VerifyReport verify_log(const Store& store, const RunSpec& run, const std::function<void(std::uint64_t)>& progress,
                        unsigned threads, const std::optional<Sha256>& remembered) {
  return Verifier(store, run, progress, threads, remembered).verify();
}

std::string damaged_model(const Store& store, const std::function<std::filesystem::path(std::uint32_t)>& file_of) {
  for (const ModelRow& model : store.models()) {
    const std::filesystem::path file = file_of(model.version);
    if (std::filesystem::exists(file) && sha256(read_file(file)) == model.sha256) continue;
    return "'" + file.string() + "' is missing or not what was published as version " + std::to_string(model.version) +
           " (SHA-256 " + to_hex(model.sha256) + "); restore it from a backup.";
  }
  return "";
}

}  // namespace flowloom
