#include "client/reference_run.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <ostream>

#include "client/numbers.h"
#include "client/reference_report.h"
#include "client/results.h"
#include "client/text.h"
#include "flow/catalog.h"
#include "lattice/references.h"
#include "program/program.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One line of a terminal, written again and again; nothing elsewhere.
class ProgressLine {
 public:
  explicit ProgressLine(const Console& console) : console_(console) {}

  void show(const std::string& text) {
    if (console_.err_is_terminal) console_.err << "\r" << text << "\x1b[K" << std::flush;
  }
  void wipe() { show(""); }

 private:
  const Console& console_;
};

// The observables after each sweep, kept for the Gamma method and written to a file if there is to be one.
class Measurements {
 public:
  Measurements(const AnyTheory& theory, const std::filesystem::path& file)
      : theory_(theory),
        observables_(theory_observables(theory)),
        sums_of_(theory_sums_function(theory)),
        series_(observables_.size()),
        file_(file) {
    if (file.empty()) return;
    csv_.open(file);
    csv_ << "sweep";
    for (const Observable& observable : observables_) csv_ << "," << observable.name;
    csv_ << "\n";
    refuse_a_bad_file();
  }

  void add(std::span<const double> field) {
    const std::vector<double> sums = sums_of_(field);
    const double log_p = theory_log_p(theory_, sums);
    std::string line = std::to_string(sweeps());
    for (std::size_t o = 0; o < observables_.size(); ++o) {
      series_[o].push_back(observables_[o].value(log_p, sums));
      if (csv_.is_open()) line += "," + exact_number(series_[o].back());
    }
    if (csv_.is_open()) csv_ << line << "\n";
  }

  std::uint64_t sweeps() const { return series_.front().size(); }

  std::vector<ObservableRow> rows() const {
    std::vector<ObservableRow> rows;
    for (std::size_t o = 0; o < observables_.size(); ++o) {
      rows.push_back(observable_row(theory_, observables_[o], series_[o]));
    }
    return rows;
  }

  // To be called at the end: throws `kUnavailable` unless all of the file is written.
  void refuse_a_bad_file() {
    if (csv_.is_open() && csv_.flush()) return;
    if (file_.empty()) return;
    throw Error(ErrorCode::kUnavailable, "'" + file_.string() + "' cannot be written (--output).");
  }

 private:
  const AnyTheory& theory_;
  std::vector<Observable> observables_;
  std::function<std::vector<double>(std::span<const double>)> sums_of_;
  std::vector<std::vector<double>> series_;  // [observable][sweep]
  std::filesystem::path file_;
  std::ofstream csv_;
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
  Measurements measured(theory, options.output);
  ReferenceReport report{.name = run.name, .algorithm = {}, .seed = options.seed, .rows = {}};
  report.wanted = options.sweeps.value_or(default_sweeps(theory));
  report.thermalised = options.thermalise.value_or(report.wanted / 10);

  ProgressLine progress(console);
  progress.show(truncated(run.name + ", no flow: thermalising, " + std::to_string(report.thermalised) + " sweeps", 79));
  chain->thermalise(report.thermalised);
  measuring = true;
  const auto start = Clock::now();
  for (auto next = start; measured.sweeps() < report.wanted && !stopped;) {
    chain->step();
    measured.add(chain->field());
    if (const auto now = Clock::now(); now >= next) {
      progress.show(reference_progress(run.name, measured.sweeps(), report.wanted, seconds_since(start)));
      next = now + std::chrono::milliseconds(100);
    }
  }
  report.seconds = seconds_since(start);
  progress.wipe();
  report.sweeps = measured.sweeps();
  report.acceptance = chain->acceptance();
  report.algorithm = chain->algorithm();
  report.rows = measured.rows();
  if (options.json) {
    console.out << json_text(reference_json(report)) << "\n";
  } else {
    console.print(reference_lines(report));
  }
  measured.refuse_a_bad_file();
  return stopped ? 130 : 0;
}

}  // namespace flowloom
