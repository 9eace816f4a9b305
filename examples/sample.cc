// Draws configurations of a trained flow and prints <phi^2> of the target by reweighting: sample RUN.toml
// MODEL.safetensors
#include <cmath>
#include <cstdio>
#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "flow/lanes/lanes_engine.h"
#include "spec/files.h"
using namespace flowloom;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const RunSpec run = load_run_file(argv[1]);
  const Checkpoint trained = Checkpoint::parse(read_file(argv[2]), argv[2]);
  const auto model = make_model(trained, theory_of(run), *lanes_engine());
  const Draws draws = model->draw(run.noise_key(), Purpose::kAudit, /*first=*/0, /*count=*/100'000);
  const std::size_t n = draws.log_q.size(), volume = draws.fields.size() / n;
  double weights = 0, phi2 = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double weight = std::exp(draws.log_p[i] - draws.log_q[i]);
    weights += weight;
    phi2 += weight * draws.sums[n + i];  // the theory's second sum
  }
  std::printf("<phi^2> = %.4f\n", phi2 / weights / static_cast<double>(volume));
}
