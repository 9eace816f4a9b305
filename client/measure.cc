#include "client/measure.h"

#include <algorithm>
#include <map>
#include <ostream>
#include <thread>

#include "client/numbers.h"
#include "client/progress_line.h"
#include "client/quantity_series.h"
#include "client/results.h"
#include "client/source.h"
#include "client/text.h"
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "lattice/measurements.h"
#include "program/run_directory.h"
#include "program/thread_pool.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using Values = std::vector<double>;  // [quantity]

// Draws the chain's configurations again and measures them.
class Redraw {
 public:
  Redraw(const RunSpec& run, const RunDirectory& directory)
      : run_(run),
        directory_(directory),
        engine_(open_engine(run.numerics.engine, "cpu")),
        variables_(theory_variables(theory_of(run))),
        measurements_(theory_measurements(theory_of(run))) {
    if (!measurements_.quantities.empty()) return;
    throw Error(ErrorCode::kInvalidInput, "Of the theory \"" + run.theory.text("kind") +
                                              "\" nothing is measured on configurations: the log has it all "
                                              "(flowloom samples).");
  }

  const std::vector<Quantity>& quantities() const { return measurements_.quantities; }

  // To be called before `measure` meets a unit of this version.
  void load(std::uint32_t version) {
    std::shared_ptr<const Model>& model = models_[version];
    if (model) return;
    const std::string file = directory_.model(version).string();
    model = load_model(read_file(file), "'" + file + "'", run_, *engine_);
  }

  // Of the unit's accepted proposals, in order. Any thread.
  std::vector<Values> measure(const UnitRecord& unit) const {
    std::vector<Values> values;
    if (std::ranges::count(unit.accepted, 1) == 0) return values;
    const UnitData& logged = unit.data;
    const Draws draws =
        models_.at(logged.version)->draw(run_.noise_key(), Purpose::kBase, logged.first_index, logged.count());
    for (std::size_t k = 0; k < logged.count(); ++k) {
      if (unit.accepted[k] == 0) continue;
      refuse_another(logged.log_p[k], draws.log_p[k], logged.first_index + k);
      refuse_another(logged.log_q[k], draws.log_q[k], logged.first_index + k);
      values.push_back(measurements_.of(std::span(draws.fields).subspan(k * variables_, variables_)));
    }
    return values;
  }

 private:
  void refuse_another(double logged, double drawn, std::uint64_t proposal) const {
    if (same_draw(logged, drawn, redraw_tolerance(run_.numerics))) return;
    throw Error(ErrorCode::kConflict,
                "Proposal " + std::to_string(proposal) + " drawn again is another configuration (" +
                    exact_number(drawn) + " where the log has " + exact_number(logged) + "): 'flowloom verify " +
                    directory_.path().string() + " --recompute 1%' tells whether the log or this machine is wrong.");
  }

  const RunSpec& run_;
  RunDirectory directory_;
  std::shared_ptr<const Engine> engine_;
  std::size_t variables_;
  Measurements measurements_;
  std::map<std::uint32_t, std::shared_ptr<const Model>> models_;
};

}  // namespace

int measure(const MeasureOptions& options, const Console& console) {
  const RunDirectory directory(options.directory);
  if (!directory.exists()) {
    throw Error(ErrorCode::kNotFound, "There is no run in '" + options.directory +
                                          "'; measuring takes a run directory, with the checkpoints in it.");
  }
  const auto source = open_source(options.directory, options.connection);
  const RunSpec& run = source->run();
  Redraw redraw(run, directory);
  QuantitySeries series(redraw.quantities(), "index", options.output);
  ThreadPool pool(options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency()));
  ProgressLine progress(console);

  std::uint64_t proposals = 0, accepted = 0, left_out = options.burn_in;
  Values state;  // empty before the chain's first one
  std::vector<UnitRecord> units;
  const auto measure_units = [&] {
    std::vector<std::vector<Values>> measured(units.size());
    pool.for_each(units.size(), [&](std::size_t i) { measured[i] = redraw.measure(units[i]); });
    for (std::size_t i = 0; i < units.size(); ++i) {
      auto next = measured[i].begin();
      for (std::size_t k = 0; k < units[i].data.count(); ++k) {
        if (units[i].accepted[k] != 0) state = std::move(*next++);
        if (state.empty()) continue;
        if (left_out > 0) {
          --left_out;
        } else {
          series.add(units[i].data.first_index + k, state);
        }
      }
      proposals += units[i].data.count();
      accepted += measured[i].size();
    }
    units.clear();
    progress.show(run.name + ": measured " + std::to_string(accepted) + " configurations of " +
                  std::to_string(proposals) + " proposals");
  };
  source->units(0, false, {}, [&](const UnitRecord& unit) {
    redraw.load(unit.data.version);
    units.push_back(unit);
    if (units.size() == 4 * pool.threads()) measure_units();
    return true;
  });
  measure_units();
  progress.wipe();
  series.refuse_a_bad_file();
  if (series.steps() < 2) {
    throw Error(ErrorCode::kInvalidInput, "The chain has " + std::to_string(series.steps()) +
                                              " states to measure: let it run, or leave out fewer steps (--burn-in).");
  }
  const std::vector<ObservableRow> rows = series.rows(theory_of(run));
  const std::vector<std::string> notes = notes_under_table(source->status(), options.burn_in);
  if (options.json) {
    console.out << json_text({{"name", run.name},
                              {"proposals", proposals},
                              {"configurations", accepted},
                              {"steps", series.steps()},
                              {"observables", observables_json(rows)},
                              {"notes", notes}})
                << "\n";
    return 0;
  }
  console.out << run.name << ": " << accepted << " configurations of " << proposals << " proposals, drawn again\n\n";
  console.print(observable_lines(rows));
  console.out << "\n";
  for (const std::string& note : notes) console.out << printable(note) << "\n";
  return 0;
}

}  // namespace flowloom
