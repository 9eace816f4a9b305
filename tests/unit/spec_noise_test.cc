#include "spec/noise.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <vector>

#include "math/elementary.h"

namespace flowloom {
namespace {

double uniform_of(std::uint32_t low, std::uint32_t high) {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>((bits >> 11) + 1) / 9007199254740992.0;
}

// Random123's kat_vectors, philox4x32 with 10 rounds.
TEST(Noise, GivesThePublishedPhiloxWords) {
  const auto zeros = uniforms({{0, 0}}, Purpose{0}, 0, 0);
  EXPECT_EQ(zeros[0], uniform_of(0x6627e8d5, 0xe169c58d));
  EXPECT_EQ(zeros[1], uniform_of(0xbc57ac4c, 0x9b00dbd8));
  const auto ones = uniforms({{~0u, ~0u}}, Purpose{~0u}, ~std::uint64_t{0}, ~0u);
  EXPECT_EQ(ones[0], uniform_of(0x408f276d, 0x41c83b0e));
  EXPECT_EQ(ones[1], uniform_of(0xa20bc7c6, 0x6d5451fd));
  const auto pi = uniforms({{0xa4093822, 0x299f31d0}}, Purpose{0x03707344}, 0x85a308d3243f6a88, 0x13198a2e);
  EXPECT_EQ(pi[0], uniform_of(0xd16cfe09, 0x94fdcceb));
  EXPECT_EQ(pi[1], uniform_of(0x5001e420, 0x24126ea1));
}

TEST(Noise, AKeyIsTheFirstEightBytesOfTheHash) {
  const NoiseKey key = NoiseKey::from("abc");  // SHA-256 begins ba7816bf 8f01cfea
  EXPECT_EQ(key.words[0], 0xbf1678bau);
  EXPECT_EQ(key.words[1], 0xeacf018fu);
}

RC_GTEST_PROP(Noise, EveryPartOfTheAddressMatters,
              (std::uint32_t k0, std::uint32_t k1, std::uint64_t index, std::uint32_t draw)) {
  const NoiseKey key{{k0, k1}};
  const auto here = uniforms(key, Purpose::kBase, index, draw);
  RC_ASSERT(here == uniforms(key, Purpose::kBase, index, draw));
  RC_ASSERT(here != uniforms({{k0 + 1, k1}}, Purpose::kBase, index, draw));
  RC_ASSERT(here != uniforms({{k0, k1 + 1}}, Purpose::kBase, index, draw));
  RC_ASSERT(here != uniforms(key, Purpose::kAccept, index, draw));
  RC_ASSERT(here != uniforms(key, Purpose::kBase, index + 1, draw));
  RC_ASSERT(here != uniforms(key, Purpose::kBase, index + (std::uint64_t{1} << 32), draw));
  RC_ASSERT(here != uniforms(key, Purpose::kBase, index, draw + 1));
}

RC_GTEST_PROP(Noise, AVectorsBeginningDoesNotDependOnItsLength, (std::uint64_t index)) {
  const auto length = *rc::gen::inRange<std::size_t>(0, 40);
  const NoiseKey key = NoiseKey::from("k");
  std::vector<double> whole(40), part(length), uniform_whole(40), uniform_part(length);
  fill_normal(key, Purpose::kTrain, index, whole);
  fill_normal(key, Purpose::kTrain, index, part);
  fill_uniform(key, Purpose::kTrain, index, uniform_whole);
  fill_uniform(key, Purpose::kTrain, index, uniform_part);
  for (std::size_t i = 0; i < length; ++i) {
    RC_ASSERT(part[i] == whole[i]);
    RC_ASSERT(uniform_part[i] == uniform_whole[i]);
  }
}

RC_GTEST_PROP(Noise, UniformsLieAboveZeroAndAtMostAtOne, (std::uint32_t k, std::uint64_t index, std::uint32_t draw)) {
  for (const double u : uniforms({{k, 0}}, Purpose::kGate, index, draw)) {
    RC_ASSERT(u > 0);
    RC_ASSERT(u <= 1);
  }
}

RC_GTEST_PROP(Noise, TheAcceptUniformIsTheFirstOfItsPurpose, (std::uint64_t index)) {
  const NoiseKey key = NoiseKey::from("k");
  const double log_u = accept_log_u(key, index);
  RC_ASSERT(log_u == log(uniforms(key, Purpose::kAccept, index, 0)[0]));
  RC_ASSERT(log_u <= 0);
  RC_ASSERT(std::isfinite(log_u));
}

TEST(Noise, ADrawHoldsTwoComponentsByBoxMuller) {
  const NoiseKey key = NoiseKey::from("k");
  std::vector<double> z(4);
  fill_normal(key, Purpose::kBase, 9, z);
  const auto u = uniforms(key, Purpose::kBase, 9, 1);
  EXPECT_DOUBLE_EQ(z[2], std::sqrt(-2 * std::log(u[0])) * std::cos(2 * M_PI * u[1]));
  EXPECT_DOUBLE_EQ(z[3], std::sqrt(-2 * std::log(u[0])) * std::sin(2 * M_PI * u[1]));
}

// 200000 numbers at a fixed key; each bound is five standard errors. Over all keys, one of the eight would
// fail with probability 5e-6.
TEST(Noise, NormalsHaveTheNormalsMoments) {
  constexpr std::size_t kVectors = 2000, kLength = 100;
  constexpr double n = kVectors * kLength;
  const NoiseKey key = NoiseKey::from("moments");
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, within = 0, pair = 0, next_vector = 0, u_sum = 0;
  std::vector<double> z(kLength), before(kLength), u(kLength);
  for (std::size_t v = 0; v < kVectors; ++v) {
    fill_normal(key, Purpose::kBase, v, z);
    fill_uniform(key, Purpose::kGate, v, u);
    for (std::size_t i = 0; i < kLength; ++i) {
      m1 += z[i];
      m2 += z[i] * z[i];
      m3 += std::pow(z[i], 3);
      m4 += std::pow(z[i], 4);
      within += std::abs(z[i]) < 0.6744897501960817;
      if (i % 2 == 0) pair += z[i] * z[i + 1];
      next_vector += z[i] * before[i];
      u_sum += u[i];
    }
    before = z;
  }
  const double sigma = 5 / std::sqrt(n);
  EXPECT_NEAR(m1 / n, 0, sigma);
  EXPECT_NEAR(m2 / n, 1, sigma * std::sqrt(2.0));
  EXPECT_NEAR(m3 / n, 0, sigma * std::sqrt(15.0));
  EXPECT_NEAR(m4 / n, 3, sigma * std::sqrt(96.0));
  EXPECT_NEAR(within / n, 0.5, sigma * 0.5);
  EXPECT_NEAR(pair / (n / 2), 0, sigma * std::sqrt(2.0));
  EXPECT_NEAR(next_vector / n, 0, sigma);
  EXPECT_NEAR(u_sum / n, 0.5, sigma / std::sqrt(12.0));
}

TEST(Noise, TrainingSamplesHaveTheirOwnIndices) {
  EXPECT_EQ(training_index(0, 7), 7u);
  EXPECT_EQ(training_index(3, 7), (std::uint64_t{3} << 32) + 7);
}

}  // namespace
}  // namespace flowloom
