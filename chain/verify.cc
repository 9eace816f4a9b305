#include "chain/verify.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "chain/chain.h"
#include "lattice/theories.h"
#include "spec/error.h"
#include "stats/ess.h"

namespace flowloom {
namespace {

// Follows the log record by record; each handler returns what is wrong, or "".
class Verifier {
 public:
  explicit Verifier(const RunSpec& run)
      : run_(run), sums_(theory_sums(make_theory(run.theory)).size()), chain_(run.noise_key()) {}

  std::string check(const UnitRecord& unit) {
    const std::string name = "unit " + std::to_string(unit.data.first_index / run_.unit);
    if (unit.data.first_index != chain_.frontier()) {
      return name + " stands where the unit of proposal " + std::to_string(chain_.frontier()) + " belongs";
    }
    if (unit.data.count() != run_.unit) return name + " does not have " + std::to_string(run_.unit) + " proposals";
    if (unit.data.sums.size() != sums_ * run_.unit) return name + " does not have the theory's columns";
    if (version_ == 0) return name + " comes before any switch has named a version";
    if (unit.data.version != version_) return name + " claims another version than the switch before it";
    if (awaiting_reweigh_) return name + " follows a switch, but the current state was not reweighed";
    if (const auto wrong = chain_.follow(unit.data, unit.accepted)) {
      return "the accept decision of proposal " + std::to_string(unit.data.first_index + *wrong) +
             " contradicts its numbers";
    }
    for (std::size_t k = 0; k < unit.data.count(); ++k) {
      report_.accepted += unit.accepted[k];
      report_.invalid += !stats::is_valid_proposal(unit.data.log_p[k], unit.data.log_q[k]);
    }
    report_.proposals = chain_.frontier();
    return "";
  }

  std::string check(const SwitchRecord& record) {
    if (record.from != chain_.frontier()) {
      return "the switch at proposal " + std::to_string(record.from) + " stands at proposal " +
             std::to_string(chain_.frontier());
    }
    if (record.version == 0) return "the switch at proposal " + std::to_string(record.from) + " names no version";
    version_ = record.version;
    switches_.push_back(record);
    awaiting_reweigh_ = chain_.current().has_value();
    return "";
  }

  std::string check(const ReweighRecord& record) {
    if (!awaiting_reweigh_ || record.index != chain_.current()->index || record.version != version_) {
      return "the reweigh of state " + std::to_string(record.index) + " is not the current state's at a switch";
    }
    if (!std::isfinite(record.log_q)) return "the reweigh of state " + std::to_string(record.index) + " is not finite";
    chain_.reweigh(record.log_q);
    awaiting_reweigh_ = false;
    return "";
  }

  std::string check(const EventRecord& record) {
    return record.at == chain_.frontier() ? "" : "an event stands at the wrong proposal";
  }

  VerifyReport& report() { return report_; }

  // What the tables beside the log say must follow from it (the last switch may be placed and not yet reached).
  std::string check_tables(const Store& store) const {
    const auto table = store.switches();
    const auto models = store.models();
    for (std::size_t i = 0; i < std::max(table.size(), switches_.size()); ++i) {
      if (i >= switches_.size() && table[i].from >= chain_.frontier()) continue;
      if (i >= table.size() || i >= switches_.size() || table[i].from != switches_[i].from ||
          table[i].version != switches_[i].version || table[i].checkpoint != switches_[i].checkpoint ||
          table[i].by_clock != switches_[i].by_clock) {
        return "The table of switches is not the one of the log's records, from its row " + std::to_string(i + 1) +
               " on.";
      }
    }
    for (const SwitchRecord& row : switches_) {
      const auto model =
          std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.version == row.version; });
      if (model == models.end() || model->sha256 != row.checkpoint) {
        return "Version " + std::to_string(row.version) +
               " in the table of models is not the checkpoint that the log names.";
      }
    }
    return "";
  }

 private:
  const RunSpec& run_;
  std::size_t sums_;
  Chain chain_;
  std::uint32_t version_ = 0;
  std::vector<SwitchRecord> switches_;
  bool awaiting_reweigh_ = false;
  VerifyReport report_;
};

}  // namespace

VerifyReport verify_log(const Store& store, const RunSpec& run, const std::function<void(std::uint64_t)>& progress) {
  Verifier verifier(run);
  VerifyReport& report = verifier.report();
  Sha256 link = run.identity();
  const auto fail = [&](const std::string& sentence) {
    report.good = false;
    report.sentence = sentence;
    return false;
  };
  if (store.identity() != link) {
    fail("The store's identity is not the one of its run file: one of them was changed.");
    return report;
  }
  try {
    store.for_each(1, [&](const LinkedRecord& linked) {
      const std::string name = "Record " + std::to_string(linked.sequence);
      if (linked.sequence != ++report.records)
        return fail(name + " follows record " + std::to_string(report.records - 1) + ": one is missing.");
      const std::string wrong = std::visit([&](const auto& record) { return verifier.check(record); }, linked.record);
      link = next_link(link, linked.record);
      if (link != linked.link)
        return fail(name + " was changed: its link does not follow from it and the record before.");
      if (!wrong.empty()) return fail(name + ": " + wrong + ".");
      if (progress && report.records % 256 == 0) progress(report.proposals);
      return true;
    });
  } catch (const Error& error) {
    fail(error.what());
  }
  if (report.good) {
    if (const std::string wrong = verifier.check_tables(store); !wrong.empty()) fail(wrong);
  }
  report.head = link;
  return report;
}

}  // namespace flowloom
