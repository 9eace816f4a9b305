#include "client/reference_report.h"

#include <limits>

#include "client/numbers.h"
#include "client/results.h"
#include "client/text.h"

namespace flowloom {
namespace {

double per_second(std::uint64_t sweeps, double seconds) {
  return seconds > 0 ? static_cast<double>(sweeps) / seconds : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::vector<std::string> reference_lines(const ReferenceReport& report) {
  const bool stopped = report.sweeps < report.wanted;
  std::vector<std::string> lines;
  const auto fact = [&](const std::string& label, const std::string& text) {
    lines.push_back("  " + padded(label, 13) + printable(text));
  };
  lines.push_back(
      printable(report.name) + " without a flow: " +
      (stopped ? "stopped after " + std::to_string(report.sweeps) + " of " + std::to_string(report.wanted) + " sweeps"
               : "complete after " + duration(report.seconds)));
  lines.emplace_back();
  for (const std::string& line : observable_lines(report.rows)) lines.push_back("  " + line);
  lines.emplace_back();
  fact("algorithm", report.algorithm);
  fact("acceptance", shown(report.acceptance));
  fact("sweeps", std::to_string(report.sweeps) + ", " + with_si_prefix(per_second(report.sweeps, report.seconds)) +
                     " per second");
  fact("thermalised", std::to_string(report.thermalised) + " sweeps before them, discarded");
  fact("seed", std::to_string(report.seed));
  return lines;
}

nlohmann::json reference_json(const ReferenceReport& report) {
  return {{"name", report.name},
          {"method", "Gamma method"},
          {"algorithm", report.algorithm},
          {"acceptance", report.acceptance},
          {"sweeps", report.sweeps},
          {"wanted_sweeps", report.wanted},
          {"complete", report.sweeps >= report.wanted},
          {"thermalised", report.thermalised},
          {"seed", report.seed},
          {"seconds", report.seconds},
          {"sweeps_per_second", per_second(report.sweeps, report.seconds)},
          {"observables", observables_json(report.rows)}};
}

std::string reference_progress(const std::string& name, std::uint64_t sweeps, std::uint64_t wanted, double seconds) {
  const double rate = per_second(sweeps, seconds);
  return truncated(name + ", no flow: " + std::to_string(sweeps) + " of " + std::to_string(wanted) + " sweeps, " +
                       with_si_prefix(rate) + " per second, ETA " +
                       duration(static_cast<double>(wanted - sweeps) / rate),
                   79);
}

}  // namespace flowloom
