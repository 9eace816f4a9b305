// On this processor's best vectors, bit by bit what plain numbers give.
#include "math/arrays.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "math/philox.h"

namespace flowloom {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Arrays, LogUniformsAreThoseOfPlainNumbersForEveryLengthAndPlace) {
  const std::array<std::uint32_t, 2> key{0x12345678, 0x9abcdef0};
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{0xffffffff} - 20, ~std::uint64_t{0} - 10}) {
    for (std::size_t count = 0; count < 50; ++count) {
      std::vector<double> found(count + 1, 7);
      log_uniforms(key, 1, first, std::span(found).first(count));
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(found[i], log(uniform_pair(key, 1, first + i, std::uint64_t{0})[0])) << first << " + " << i;
      ASSERT_EQ(found[count], 7) << "written past the end";
    }
  }
}

// The order of the sums is a part of the promise.
TEST(Arrays, SumExpIsThatOfPlainNumbersForEveryLength) {
  for (std::size_t count = 0; count < 70; ++count) {
    std::vector<double> x;
    for (std::size_t i = 0; i < count; ++i) x.push_back(-0.37 * static_cast<double>(i * i % 101));
    std::array<double, 16> first{}, second{};
    for (std::size_t i = 0; i < count; ++i) {
      const double term = exp(x[i] - 0.25);
      first[i % 16] += term, second[i % 16] += term * term;
    }
    double sum = 0, squares = 0;
    for (std::size_t part = 0; part < 16; ++part) sum += first[part], squares += second[part];
    EXPECT_EQ(sum_exp(x, 0.25), std::pair(sum, squares)) << count;
  }
  EXPECT_EQ(sum_exp(std::vector<double>{-kInfinity, 0.0}, 0.0), std::pair(1.0, 1.0));
  EXPECT_TRUE(std::isnan(sum_exp(std::vector<double>{std::nan("")}, 0.0).first));
}

TEST(Arrays, AllBelowSeesOneThatIsNotAnywhere) {
  for (std::size_t count = 0; count < 50; ++count) {
    std::vector<double> x(count);
    for (std::size_t i = 0; i < count; ++i) x[i] = i % 2 == 0 ? -1.99 : 1.99;
    EXPECT_TRUE(all_below(x, 2));
    for (std::size_t i = 0; i < count; ++i) {
      for (const double other : {2.0, -2.0, kInfinity, -kInfinity, std::nan(""), -std::nan("")}) {
        std::vector<double> y = x;
        y[i] = other;
        EXPECT_FALSE(all_below(y, 2)) << other << " at " << i << " of " << count;
      }
    }
  }
}

}  // namespace
}  // namespace flowloom
