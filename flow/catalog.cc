#include "flow/catalog.h"

#include "flow/idle_keys.h"
#include "spec/error.h"

namespace flowloom {
namespace {

RunSpec load(const Document& document) {
  RunSpec run = load_run(document, catalog());
  refuse_idle_flow_keys(run);
  const AnyTheory theory = theory_of(run);
  const Section chain = document.section("chain", chain_keys());
  const auto check = [&](const Section& section) {
    try {
      find_observable(theory, section.text("observable"));
    } catch (const Error& error) {
      throw Error(error.code(), section.where("observable") + ": " + error.what());
    }
  };
  check(chain);
  if (chain.has("until")) check(chain.table("until"));
  return run;
}

}  // namespace

const Catalog& catalog() {
  static const Catalog kCatalog{
      .theories = theory_kinds(),
      .flows = flow_kinds(),
      .engines = {{.name = "lanes",
                   .sentence = "Ours, fast: samples and trains to the same bits on every processor.",
                   .keys = {},
                   .check = {}},
                  {.name = "torch",
                   .sentence = "LibTorch: the reference; its bits depend on the machine.",
                   .keys = {},
                   .check = {}}},
      .only_last = [](const RunSpec& run) { return architecture_of(run)->only_torch(); },
  };
  return kCatalog;
}

RunSpec load_run_file(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Document document = Document::read(file);
  for (const std::string& assignment : overrides) document.set(assignment);
  return load(document);
}

RunSpec load_run_text(const std::string& text, const std::string& name) { return load(Document::parse(text, name)); }

AnyFlow architecture_of(const RunSpec& run) { return AnyFlow(run.flow, theory_of(run)); }

}  // namespace flowloom
