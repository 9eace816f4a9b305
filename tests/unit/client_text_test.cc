#include "client/text.h"

#include <gtest/gtest.h>

#include <cmath>

namespace flowloom {
namespace {

TEST(DisplayWidth, CountsColumnsAndNotBytes) {
  EXPECT_EQ(display_width("chi2"), 4u);
  EXPECT_EQ(display_width("χ₂"), 2u);
  EXPECT_EQ(display_width("⟨φ²⟩"), 4u);
}

TEST(DisplayWidth, GivesNothingToCombiningMarksAndTwoToWideCharacters) {
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("格子"), 4u);
  EXPECT_EQ(display_width("🧵"), 2u);
}

TEST(Truncated, LeavesTextsThatFit) {
  EXPECT_EQ(truncated("⟨φ²⟩", 4), "⟨φ²⟩");
  EXPECT_EQ(truncated("", 0), "");
}

TEST(Truncated, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(truncated("⟨φ²⟩", 3), "⟨φ…");
  EXPECT_EQ(truncated("abc", 1), "…");
  EXPECT_EQ(truncated("abc", 0), "");
}

TEST(Truncated, NeverCutsAWideCharacterInHalf) {
  EXPECT_EQ(truncated("格子場", 4), "格…");  // 2 + 1: the second one would need a fifth column
  EXPECT_LE(display_width(truncated("格子場", 4)), 4u);
}

TEST(Printable, DefusesControlSequences) {
  EXPECT_EQ(printable("host\x1b[2J\n"), "host?[2J?");
  EXPECT_EQ(printable("\xc2\x9b"), "?");    // C1: another way to begin a sequence
  EXPECT_EQ(printable("a\u202eb"), "a?b");  // turns the line around
}

TEST(Printable, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("a\xff\xc3"), "a??");
  EXPECT_EQ(printable("\xc0\xaf"), "??");       // overlong
  EXPECT_EQ(printable("\xed\xa0\x80"), "???");  // a surrogate
}

TEST(Padded, FillsByDisplayColumns) {
  EXPECT_EQ(padded("χ₂", 4) + "|", "χ₂  |");
  EXPECT_EQ(padded("χ₂", 4, Align::kRight), "  χ₂");
  EXPECT_EQ(padded("long", 2), "long");
}

TEST(Bar, ClampsAndTakesNanForNothing) {
  EXPECT_EQ(bar(0.5, 4), "██░░");
  EXPECT_EQ(bar(7, 2), "██");
  EXPECT_EQ(bar(std::nan(""), 2), "░░");
}

TEST(Table, AlignsColumnsAndTrimsLines) {
  Table table({Align::kLeft, Align::kRight, Align::kLeft});
  table.add({"χ₂", "1", "x"});
  table.add({"abs", "100"});
  EXPECT_EQ(table.lines(" "), (std::vector<std::string>{" χ₂     1  x", " abs  100"}));
}

}  // namespace
}  // namespace flowloom
