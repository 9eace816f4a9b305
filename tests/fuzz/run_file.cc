#include <optional>

#include "flow/catalog.h"
#include "promises.h"
#include "targets.h"

namespace flowloom::fuzz {

void run_file(Bytes input) {
  const std::string text(input.begin(), input.end());
  std::optional<RunSpec> run;
  try {
    run = load_run_text(text, "run.toml");
  } catch (const Error& error) {
    require_sentence(error);
    require(error.code() == ErrorCode::kInvalidInput, "A run file is refused as the user's mistake.");
    return;
  }
  // What is kept in the run directory and sent to workers.
  const RunSpec again = load_run_text(run->toml, "run.toml");
  require(again.identity_text() == run->identity_text(), "The accepted text is the same run: " + run->toml);
  require(again.policy == run->policy, "The accepted text has the same policy: " + run->toml);
  require(again.toml == run->toml, "The accepted text is canonical: " + run->toml + " and " + again.toml);
  require(training_identity(again) == training_identity(*run), "The accepted text is the same training: " + run->toml);
}

}  // namespace flowloom::fuzz
