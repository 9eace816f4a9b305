#include "client/reference_run.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <ostream>

#include "client/progress_line.h"
#include "client/quantity_series.h"
#include "client/reference_report.h"
#include "client/results.h"
#include "flow/catalog.h"
#include "lattice/measurements.h"
#include "lattice/references.h"
#include "program/program.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// What is measured after each sweep: the observables, then on request what takes a configuration.
class SweepMeasurement {
 public:
  SweepMeasurement(const AnyTheory& theory, bool with_measurements)
      : theory_(theory), observables_(theory_observables(theory)), sums_of_(theory_sums_function(theory)) {
    if (with_measurements) measurements_ = theory_measurements(theory);
  }

  std::vector<Quantity> quantities() const {
    std::vector<Quantity> all(observables_.begin(), observables_.end());
    all.insert(all.end(), measurements_.quantities.begin(), measurements_.quantities.end());
    return all;
  }

  std::vector<double> of(std::span<const double> field) const {
    const std::vector<double> sums = sums_of_(field);
    const double log_p = theory_log_p(theory_, sums);
    std::vector<double> values;
    for (const Observable& observable : observables_) values.push_back(observable.value(log_p, sums));
    if (measurements_.of) std::ranges::copy(measurements_.of(field), std::back_inserter(values));
    return values;
  }

 private:
  const AnyTheory& theory_;
  std::vector<Observable> observables_;
  std::function<std::vector<double>(std::span<const double>)> sums_of_;
  Measurements measurements_;
};

std::uint64_t default_sweeps(const AnyTheory& theory) {
  return std::clamp<std::uint64_t>(kReferenceUpdates / theory_variables(theory), 10'000, 1'000'000);
}

}  // namespace

int reference(const ReferenceOptions& options, const Console& console) {
  std::atomic<bool> measuring = false, stopped = false;
  const Signals signals([&](int count) {
    if (!measuring || count > 1) {
      console.err << "\nStopped" << (measuring ? "." : " before the first measurement.") << std::endl;
      ::_exit(130);
    }
    stopped = true;
  });
  const RunSpec run = load_run_file(options.run_file, options.overrides);
  const AnyTheory theory = make_theory(run.theory);
  const std::string algorithm = options.algorithm == "auto" ? reference_algorithms(theory).front() : options.algorithm;
  const auto chain = make_reference(
      theory, algorithm,
      NoiseKey::from("reference " + algorithm + " " + std::to_string(options.seed) + " " + run.identity_text()));
  const SweepMeasurement measurement(theory, options.measure);
  QuantitySeries measured(measurement.quantities(), "sweep", options.output);
  ReferenceReport report{.name = run.name, .algorithm = {}, .seed = options.seed, .rows = {}};
  report.wanted = options.sweeps.value_or(default_sweeps(theory));
  report.thermalised = options.thermalise.value_or(report.wanted / 10);

  ProgressLine progress(console);
  progress.show(run.name + ", no flow: thermalising, " + std::to_string(report.thermalised) + " sweeps");
  chain->thermalise(report.thermalised);
  measuring = true;
  const auto start = Clock::now();
  for (auto next = start; measured.steps() < report.wanted && !stopped;) {
    chain->step();
    measured.add(measured.steps(), measurement.of(chain->field()));
    if (const auto now = Clock::now(); now >= next) {
      progress.show(reference_progress(run.name, measured.steps(), report.wanted, seconds_since(start)));
      next = now + std::chrono::milliseconds(100);
    }
  }
  report.seconds = seconds_since(start);
  progress.wipe();
  report.sweeps = measured.steps();
  report.acceptance = chain->acceptance();
  report.algorithm = chain->algorithm();
  report.rows = measured.rows(theory);
  if (options.json) {
    console.out << json_text(reference_json(report)) << "\n";
  } else {
    console.print(reference_lines(report));
  }
  measured.refuse_a_bad_file();
  return stopped ? 130 : 0;
}

}  // namespace flowloom
