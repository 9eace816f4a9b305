// What every engine must do, as checks that the tests of each engine call.
#pragma once

#include <gtest/gtest.h>

#include <limits>

#include "flow_cases.h"

namespace flowloom {

inline void expect_fields_and_log_q_follow_the_definition(const Engine& engine, const FlowCase& flow_case) {
  const FlowParts parts(flow_case);
  const std::size_t count = parts.volume() > 48 ? 1 : 3;  // the dense Jacobian takes time
  const auto volume = static_cast<double>(parts.volume());
  const bool dense = static_cast<double>(parts.weights.size()) * volume * volume < 5e7;
  const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kBase, 5, count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<double> z = noise_at(5 + i, parts.volume());
    const std::vector<double> field = direct_flow(parts, z);
    for (std::size_t x = 0; x < parts.volume(); ++x) {
      ASSERT_NEAR(draws.fields[i * parts.volume() + x], field[x], 1e-11) << "sample " << i << ", site " << x;
    }
    if (!dense) continue;
    EXPECT_NEAR(draws.log_q[i], standard_normal_log_density(z) - direct_log_det(parts, z), 1e-7);
  }
}

// log_p and the sums of a draw are those of its own field.
inline void expect_log_p_is_the_action_of_the_field(const Engine& engine, const FlowCase& flow_case) {
  const FlowParts parts(flow_case);
  const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kBase, 0, 5);
  for (std::size_t i = 0; i < 5; ++i) {
    const std::vector<double> sums =
        theory_sums_of(parts.theory, std::span(draws.fields).subspan(i * parts.volume(), parts.volume()));
    for (std::size_t k = 0; k < sums.size(); ++k) EXPECT_NEAR(draws.sums[k * 5 + i], sums[k], 1e-11 * (1 + sums[1]));
    EXPECT_NEAR(draws.log_p[i], theory_log_p(parts.theory, sums), 1e-10 * (1 + std::abs(draws.log_p[i])));
  }
}

inline void expect_inverse_finds_the_draws_log_q(const Engine& engine, const FlowCase& flow_case, std::size_t count) {
  const FlowParts parts(flow_case);
  const auto model = parts.model(engine);
  const Draws draws = model->draw(kTestKey, Purpose::kBase, 0, count);
  const Densities densities = model->densities(draws.fields);
  ASSERT_EQ(densities.log_q.size(), count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_NEAR(densities.log_p[i], draws.log_p[i], 1e-12 * (1 + std::abs(draws.log_p[i]))) << "sample " << i;
    EXPECT_NEAR(densities.log_q[i], draws.log_q[i], 1e-10) << "sample " << i;
    EXPECT_LT(densities.round_trip[i], 1e-12) << "sample " << i;
  }
}

// A first layer changes only its active sites.
inline void expect_frozen_sites_pass_unchanged(const Engine& engine, const std::vector<std::int64_t>& lattice) {
  const FlowParts parts({.lattice = lattice, .layers = 1, .hidden = {3}});
  const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kBase, 0, 1);
  const std::vector<double> z = noise_at(0, parts.volume());
  for (std::size_t x = 0; x < parts.volume(); ++x) {
    if (parts.geometry().parity(x) == 0) {
      EXPECT_NE(draws.fields[x], z[x]) << "active site " << x;
    } else {
      EXPECT_EQ(draws.fields[x], z[x]) << "frozen site " << x;
    }
  }
}

// If no network sees an active variable, log_q of one layer is a sum of functions of one active variable
// each: every mixed second difference vanishes. With a frozen variable it does not; returns the largest of those.
inline double expect_active_variables_do_not_mix(const Model& model, const std::vector<double>& field,
                                                 const std::vector<bool>& active) {
  // log_q of `field` with variable b, and with variables a and b, moved; for every b in one call.
  const auto log_q_moved = [&](std::optional<std::size_t> a) {
    std::vector<double> fields;
    for (std::size_t b = 0; b < field.size(); ++b) {
      std::vector<double> moved = field;
      if (a) moved[*a] += 0.3;
      moved[b] += 0.3;
      fields.insert(fields.end(), moved.begin(), moved.end());
    }
    return model.densities(fields).log_q;
  };
  const double unmoved = model.densities(field).log_q[0];
  const std::vector<double> one = log_q_moved({});
  double largest_with_frozen = 0;
  for (std::size_t a = 0; a < field.size(); ++a) {
    if (!active[a]) continue;
    const std::vector<double> both = log_q_moved(a);
    for (std::size_t b = 0; b < field.size(); ++b) {
      if (a == b) continue;
      const double mixed_difference = both[b] - one[a] - one[b] + unmoved;
      if (active[b]) {
        EXPECT_NEAR(mixed_difference, 0, 1e-11) << "active variables " << a << " and " << b;
      } else {
        largest_with_frozen = std::max(largest_with_frozen, std::abs(mixed_difference));
      }
    }
  }
  return largest_with_frozen;
}

inline void expect_no_network_sees_an_active_variable(const Engine& engine, const std::vector<std::int64_t>& lattice) {
  const FlowParts parts({.lattice = lattice, .layers = 1, .hidden = {4, 3}});
  std::vector<bool> active(parts.volume());
  for (std::size_t x = 0; x < active.size(); ++x) active[x] = parts.geometry().parity(x) == 0;
  EXPECT_GT(expect_active_variables_do_not_mix(*parts.model(engine), noise_at(7, parts.volume()), active), 1e-3);
}

// Every property of the map on one random architecture after the other; on fewer where each takes seconds.
inline void expect_random_flows_follow_the_definition(const Engine& engine) {
#ifdef FLOWLOOM_SANITIZED
  constexpr std::uint64_t kFlows = kRandomFlows / 4;
#else
  constexpr std::uint64_t kFlows = kRandomFlows;
#endif
  for (std::uint64_t number = 0; number < kFlows; ++number) {
    const FlowCase flow_case = random_flow(number);
    SCOPED_TRACE("random flow " + std::to_string(number) + ", lattice " + nlohmann::json(flow_case.lattice).dump() +
                 "\n" + flow_case.flow);
    expect_fields_and_log_q_follow_the_definition(engine, flow_case);
    expect_inverse_finds_the_draws_log_q(engine, flow_case, 5);
    if (testing::Test::HasFailure()) return;
  }
}

// With the symmetry log_q(-field) = log_q(field): to the bit where a sample's bits do not depend on its place in a
// batch, else to the networks' rounding.
inline void expect_z2_is_exact(const Engine& engine, bool to_the_bit) {
  int seen = 0;
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      flow_case.precision = precision;
      const FlowParts parts(flow_case);
      if (!parts.architecture.z2()) continue;
      ++seen;
      const auto model = parts.model(engine);
      std::vector<double> fields = model->draw(kTestKey, Purpose::kBase, 0, 3).fields;
      const std::vector<double> log_q = model->densities(fields).log_q;
      for (double& value : fields) value = -value;
      const std::vector<double> mirrored = model->densities(fields).log_q;
      const double tolerance = to_the_bit ? 0 : precision == Precision::kMixed ? 1e-4 : 1e-11;
      for (std::size_t i = 0; i < log_q.size(); ++i) {
        EXPECT_NEAR(mirrored[i], log_q[i], tolerance * (1 + std::abs(log_q[i]))) << "random flow " << number;
      }
    }
  }
  EXPECT_GT(seen, 10);
}

// The same weights on a lattice twice as long in each direction: a field repeated there goes through the same
// couplings, so that each copy adds the same to log_q, but for the prior's part.
inline void expect_volume_transfer(const Engine& engine) {
  int seen = 0;
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase small = random_flow(number);
    if (small.flow.find("free-field") != std::string::npos) continue;
    ++seen;
    FlowCase large = small;
    for (std::int64_t& extent : large.lattice) extent *= 2;
    const FlowParts here(small), there(large);
    ASSERT_EQ(here.weights, there.weights);
    const Draws draws = here.model(engine)->draw(kTestKey, Purpose::kBase, 0, 1);
    std::vector<double> repeated(there.volume());
    for (std::size_t x = 0; x < repeated.size(); ++x) {
      repeated[x] = draws.fields[here.geometry().site(there.geometry().coordinates(x))];
    }
    const double copies = static_cast<double>(there.volume() / here.volume());
    EXPECT_NEAR(there.model(engine)->densities(repeated).log_q[0], copies * draws.log_q[0],
                1e-11 * copies * (1 + std::abs(draws.log_q[0])))
        << "random flow " << number;
  }
  EXPECT_GT(seen, 10);
}

// Where the theory is free and the prior has its mass, q = p: no weight differs from another.
inline void expect_the_free_field_is_exact(const Engine& engine) {
  for (const std::vector<std::int64_t>& lattice : {std::vector<std::int64_t>{8, 6}, {4, 2, 6}, {2, 4, 4, 2}}) {
    const RunSpec run = free_theory(lattice);
    const AnyFlow architecture = architecture_of(run);
    std::vector<double> weights = architecture->initial_weights(kTestKey);
    weights[0] = std::log(1.25);
    const Draws draws = engine.model(theory_of(run), architecture, weights, Precision::kFloat64)
                            ->draw(kTestKey, Purpose::kBase, 0, 100);
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < 100; ++i) mean += (draws.log_p[i] - draws.log_q[i]) / 100;
    for (std::size_t i = 0; i < 100; ++i) variance += std::pow(draws.log_p[i] - draws.log_q[i] - mean, 2) / 100;
    EXPECT_LT(variance, 1e-20);
  }
}

inline void expect_nan_weights_give_nan_log_q(const Engine& engine, Precision precision) {
  FlowParts parts({.precision = precision});
  parts.weights.back() = std::numeric_limits<double>::quiet_NaN();
  const auto model = parts.model(engine);
  const Draws draws = model->draw(kTestKey, Purpose::kBase, 0, 3);
  const Densities densities = model->densities(std::vector<double>(2 * parts.volume(), 0.5));
  // The last weight is the bias of the last layer's t: fields are NaN, log_q by the inverse is.
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(draws.log_p[i]));
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(std::isnan(densities.log_q[i]));
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(std::isnan(densities.round_trip[i]));
  std::fill(parts.weights.begin(), parts.weights.end(), std::numeric_limits<double>::quiet_NaN());
  const Draws worse = parts.model(engine)->draw(kTestKey, Purpose::kBase, 0, 3);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(worse.log_q[i]));
}

// Not ==, for which a NaN differs from itself and -0 is 0.
inline void expect_equal_bits(const std::vector<double>& a, const std::vector<double>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(bits(a[i]), bits(b[i])) << what << " " << i << ": " << a[i];
}
inline void expect_equal_bits(const Draws& a, const Draws& b) {
  expect_equal_bits(a.log_p, b.log_p, "log_p");
  expect_equal_bits(a.log_q, b.log_q, "log_q");
  expect_equal_bits(a.sums, b.sums, "sum");
  expect_equal_bits(a.fields, b.fields, "variable");
}
inline void expect_equal_bits(const Densities& a, const Densities& b) {
  expect_equal_bits(a.log_p, b.log_p, "log_p");
  expect_equal_bits(a.log_q, b.log_q, "log_q");
  expect_equal_bits(a.round_trip, b.round_trip, "round trip");
}

inline void expect_equal_bits(const Gradient& a, const Gradient& b) {
  expect_equal_bits(a.sum, b.sum, "slope");
  expect_equal_bits(a.log_w, b.log_w, "log_w");
}

}  // namespace flowloom
