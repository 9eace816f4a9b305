// Draws configurations of a trained flow and prints <phi^2> of the target by reweighting: sample RUN.toml MODEL.safetensors
#include <cmath>
#include <cstdio>

#include "flow/catalog.h"
#include "flow/checkpoint.h"
#include "flow/lanes/lanes_engine.h"
#include "spec/files.h"

int main(int, char** argv) {
  const flowloom::RunSpec run = flowloom::load_run_file(argv[1]);
  const auto trained = flowloom::Checkpoint::parse(flowloom::read_file(argv[2]), argv[2]);
  const auto model = flowloom::make_model(trained, flowloom::theory_of(run), *flowloom::lanes_engine());
  const auto draws = model->draw(run.noise_key(), flowloom::Purpose::kAudit, /*first=*/0, /*count=*/100'000);
  double weights = 0, phi2 = 0;
  const double volume = static_cast<double>(draws.fields.size() / draws.log_q.size());
  for (std::size_t i = 0; i < draws.log_q.size(); ++i) {
    const double weight = std::exp(draws.log_p[i] - draws.log_q[i]);
    const double phi2_sum = draws.sums[draws.log_q.size() + i];  // the theory's second sum
    weights += weight;
    phi2 += weight * phi2_sum / volume;
  }
  std::printf("<phi^2> = %.4f\n", phi2 / weights);
}
