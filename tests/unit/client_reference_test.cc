#include "client/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "client_cases.h"
#include "flow/catalog.h"
#include "lattice/theories.h"
#include "spec/files.h"

namespace flowloom {
namespace {

TEST(RunFileReference, NamesEveryDeclaredKey) {
  const std::string text = run_file_reference(catalog());
  const auto expect_all = [&](const std::vector<Key>& keys) {
    for (const Key& key : keys) EXPECT_THAT(text, testing::HasSubstr("| `" + key.name + "` |"));
  };
  expect_all(run_keys(catalog()));
  expect_all(train_keys());
  expect_all(chain_keys());
  for (const Kind& kind : catalog().theories) expect_all(kind.keys);
  for (const Kind& kind : catalog().flows) expect_all(kind.keys);
  EXPECT_THAT(text, testing::HasSubstr("`stop.steps`"));
  EXPECT_THAT(text, testing::HasSubstr("`versions[].when.ess`"));
}

TEST(RunFileReference, HasFiveCellsInEveryRowOfATable) {
  std::istringstream text(run_file_reference(catalog()));
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("| ")) continue;
    std::size_t bars = 0;
    for (std::size_t i = 0; i < line.size(); ++i) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    EXPECT_EQ(bars, 6u) << line;
  }
}

// One row of a table in docs/observables.md has the observable's name and its sentence.
TEST(Documentation, DefinesEveryObservableOfEveryTheory) {
  const auto root = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  const std::string page = read_file(root / "docs" / "observables.md");
  std::set<std::string> seen;
  for (const auto& entry : std::filesystem::directory_iterator(root / "examples")) {
    if (entry.path().extension() != ".toml") continue;
    const RunSpec run = load_run_file(entry.path());
    const AnyTheory theory = make_theory(run.theory);
    seen.insert(run.theory.text("kind"));
    for (const Observable& observable : theory_observables(theory)) {
      std::string sentence;
      for (const char c : observable.sentence) sentence += c == '|' ? std::string("\\|") : std::string(1, c);
      std::istringstream lines(page);
      bool defined = false;
      for (std::string line; std::getline(lines, line);) {
        defined = defined || (line.find("| `" + observable.name + "` |") != std::string::npos &&
                              line.find(sentence) != std::string::npos);
      }
      EXPECT_TRUE(defined) << entry.path() << ": " << observable.name << ", " << sentence;
    }
  }
  for (const Kind& kind : catalog().theories) EXPECT_TRUE(seen.contains(kind.name)) << kind.name << " has no example";
}

// docs/run-file.md is this text: `flowloom check --keys > docs/run-file.md` makes it.
TEST(RunFileReference, IsTheOneInTheDocumentation) {
  const auto root = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  EXPECT_EQ(read_file(root / "docs" / "run-file.md"), run_file_reference(catalog()));
}

}  // namespace
}  // namespace flowloom
