// Every target keeps its promises on its kept corpus: what was found once stays found, with every compiler and
// sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "spec/files.h"
#include "targets.h"

namespace flowloom::fuzz {

inline void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

class FuzzCorpus : public testing::TestWithParam<Target> {};

TEST_P(FuzzCorpus, FindsEveryPromiseKept) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(FLOWLOOM_CORPUS) / GetParam().name))
    files.push_back(entry.path());
  std::ranges::sort(files);
  ASSERT_FALSE(files.empty());
  for (const auto& file : files) {
    const std::string bytes = read_file(file);
    EXPECT_NO_THROW(GetParam().run({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()})) << file;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzCorpus, testing::ValuesIn(kTargets),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace flowloom::fuzz
