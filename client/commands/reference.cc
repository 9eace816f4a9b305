// flowloom reference: what a run samples, without a flow.
#include "client/commands/commands.h"
#include "client/reference_run.h"

namespace flowloom {
namespace {

constexpr std::uint64_t kMostSweeps = 1'000'000'000;  // of 8 bytes for each observable

}  // namespace

void add_reference(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("reference", "Sample the run's theory by plain MCMC, to check a flow against");
  auto options = std::make_shared<ReferenceOptions>();
  command->add_option("run", options->run_file, "The run file")->required()->type_name("RUN.toml");
  command->add_option("--set", options->overrides, "Override a key")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--algorithm", options->algorithm,
                   "heatbath, hmc (a sweep is a trajectory), or auto: the first of these that the theory has")
      ->capture_default_str();
  command
      ->add_option("--sweeps", options->sweeps,
                   "Sweeps to measure (default: 64 million divided by the variables, 10000 to 1000000)")
      ->check(CLI::Range(std::uint64_t{2}, kMostSweeps));
  command
      ->add_option("--thermalise", options->thermalise,
                   "Sweeps before them, in which HMC also finds its step size (default: a tenth of --sweeps)")
      ->check(CLI::Range(std::uint64_t{0}, kMostSweeps));
  command->add_option("--seed", options->seed, "Another number, another chain")->capture_default_str();
  command->add_flag("--measure", options->measure, "Also what 'flowloom measure' finds on a chain's configurations");
  command->add_option("--output", options->output, "Write the observables after each sweep to a CSV file")
      ->type_name("FILE.csv");
  command->add_flag("--json", options->json, "The result as one JSON object");
  command->callback(
      [&action, options] { action = [options](const Console& console) { return reference(*options, console); }; });
}

}  // namespace flowloom
