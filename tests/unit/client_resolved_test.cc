#include "client/resolved.h"

#include <gtest/gtest.h>

#include "flow/catalog.h"
#include "spec/files.h"
#include "temporary_directory.h"

namespace flowloom {
namespace {

TEST(Resolved, AsTextItIsARunFileOfTheSameRun) {
  const std::string gauge = "lattice = [4, 4]\nbeta = 1.0\n[flow]\nkind = \"gauge-coupling\"\nhidden = [2]\n";
  const std::string spectral = "lattice = [4, 4]\nbeta = 1.0\n[flow]\nkind = \"spectral-coupling\"\nhidden = [2]\n";
  const std::string affine =
      "lattice = [4, 4]\nm2 = 1.0\nlambda = 1.0\n[flow]\nkind = \"affine-coupling\"\nhidden = [2]\n";
  for (const std::string& sections :
       {"kind = \"u1\"\n" + gauge, "kind = \"u1\"\n" + gauge + "map = \"mixture\"\ncomponents = 2\n",
        "kind = \"schwinger\"\nkappa = 0.2\n" + gauge, "kind = \"su2\"\n" + spectral, "kind = \"su3\"\n" + spectral,
        "kind = \"phi4\"\n" + affine, "kind = \"phi4\"\n" + affine + "prior = \"free-field\"\n"}) {
    const TemporaryDirectory directory;
    const auto file = directory / "run.toml";
    write_file_atomically(file, "[run]\nname = \"x\"\n[theory]\n" + sections + "[chain]\nlength = 64\n");
    const ResolvedRun resolved = resolve_run_file(file, {});
    std::string text;
    for (const std::string& line : resolved_lines(resolved)) text += line + "\n";
    const RunSpec again = load_run_text(text, "again.toml");
    EXPECT_EQ(again.identity_text(), resolved.run.identity_text());
    EXPECT_EQ(again.policy, resolved.run.policy) << text;
  }
}

}  // namespace
}  // namespace flowloom
