#include "client/numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

namespace flowloom {
namespace {

const double kNan = std::nan("");
const double kInf = std::numeric_limits<double>::infinity();

TEST(ValueWithError, ShowsTwoDigitsOfTheError) {
  EXPECT_EQ(value_with_error(0.74512, 0.00251), "0.7451(25)");
  EXPECT_EQ(value_with_error(-0.74512, 0.00251), "-0.7451(25)");
  EXPECT_EQ(value_with_error(12.3, 0.12), "12.30(12)");
}

TEST(ValueWithError, PutsAPointIntoErrorsAboveOne) {
  EXPECT_EQ(value_with_error(123.44, 1.23), "123.4(1.2)");
  EXPECT_EQ(value_with_error(123.44, 12.3), "123(12)");
  EXPECT_EQ(value_with_error(1234.4, 123.0), "1230(120)");
}

TEST(ValueWithError, RoundsTheErrorBeforeItCountsItsDigits) {
  EXPECT_EQ(value_with_error(1.23456, 0.0996), "1.23(10)");
  EXPECT_EQ(value_with_error(1.23456, 0.996), "1.2(1.0)");
  EXPECT_EQ(value_with_error(51.0, 9.96), "51(10)");
}

TEST(ValueWithError, WritesAnErrorLargerThanItsValue) {
  EXPECT_EQ(value_with_error(0.012, 0.25), "0.01(25)");
  EXPECT_EQ(value_with_error(-0.001, 0.25), "0.00(25)");  // no minus zero
  EXPECT_EQ(value_with_error(3, 120), "0(120)");
}

TEST(ValueWithError, SaysWhenTheErrorIsZeroOrUnknown) {
  EXPECT_EQ(value_with_error(0.5, 0), "0.5(0)");
  EXPECT_EQ(value_with_error(0, 0), "0(0)");
  EXPECT_EQ(value_with_error(0.745123456, kNan), "0.745123(?)");
  EXPECT_EQ(value_with_error(2, kInf), "2(?)");
}

TEST(ValueWithError, TakesAnExponentForTheTinyAndTheHuge) {
  EXPECT_EQ(value_with_error(1.2345e-12, 3.4e-14), "1.234(34)e-12");
  EXPECT_EQ(value_with_error(1.2345e12, 3.4e10), "1.234(34)e12");
  EXPECT_EQ(value_with_error(5e-320, 1e-321).substr(0, 1), "5");  // below the normal numbers
}

TEST(ValueWithError, LeavesAValueThatIsNotFiniteAlone) {
  EXPECT_EQ(value_with_error(kNan, 0.1), "nan");
  EXPECT_EQ(value_with_error(-kInf, kNan), "-inf");
}

TEST(ExactNumber, ReadsBackToTheSameDouble) {
  for (const double value : {0.1, 1.0 / 3.0, -1e-300, 6.02214076e23, 5e-324, 123456789.123456789}) {
    EXPECT_EQ(std::strtod(exact_number(value).c_str(), nullptr), value);
  }
  EXPECT_EQ(exact_number(0.1), "0.10000000000000001");
  EXPECT_EQ(exact_number(kNan), "nan");
  EXPECT_EQ(exact_number(-kInf), "-inf");
}

TEST(WithSiPrefix, KeepsThreeDigits) {
  EXPECT_EQ(with_si_prefix(0), "0");
  EXPECT_EQ(with_si_prefix(950), "950");
  EXPECT_EQ(with_si_prefix(1.234), "1.23");
  EXPECT_EQ(with_si_prefix(1234), "1.23 k");
  EXPECT_EQ(with_si_prefix(23400), "23.4 k");
  EXPECT_EQ(with_si_prefix(999.9), "1.00 k");
  EXPECT_EQ(with_si_prefix(1.2e6), "1.20 M");
  EXPECT_EQ(with_si_prefix(kNan), "–");
}

TEST(Duration, ChangesItsUnitsWithItsSize) {
  EXPECT_EQ(duration(0), "0 s");
  EXPECT_EQ(duration(59.4), "59 s");
  EXPECT_EQ(duration(59.6), "1 min 00 s");
  EXPECT_EQ(duration(200), "3 min 20 s");
  EXPECT_EQ(duration(7500), "2 h 05 min");
  EXPECT_EQ(duration(3 * 86400 + 4 * 3600), "3 d 4 h");
}

TEST(Duration, AdmitsWhatItDoesNotKnow) {
  EXPECT_EQ(duration(kNan), "–");
  EXPECT_EQ(duration(kInf), "–");
  EXPECT_EQ(duration(-1), "–");
}

TEST(ByteCount, NamesItsUnit) {
  EXPECT_EQ(byte_count(12), "12 B");
  EXPECT_EQ(byte_count(105344), "105 kB");
}

TEST(Percent, HasOneDecimal) {
  EXPECT_EQ(percent(0.51), "51.0 %");
  EXPECT_EQ(percent(kNan), "–");
}

}  // namespace
}  // namespace flowloom
