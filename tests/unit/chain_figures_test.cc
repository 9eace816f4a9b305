// The figures of a chain, streamed (chain/statistics.h) and computed from the whole log (chain/analysis.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "chain/analysis.h"
#include "chain/statistics.h"
#include "chain_cases.h"

namespace flowloom {
namespace {

using testing::ElementsAre;

std::vector<UnitRecord> units_of(const std::vector<Record>& records) {
  std::vector<UnitRecord> units;
  for (const Record& record : records) {
    if (const auto* unit = std::get_if<UnitRecord>(&record)) units.push_back(*unit);
  }
  return units;
}

struct Both {
  explicit Both(const RunSpec& run, const std::vector<UnitRecord>& units)
      : statistics(make_theory(run.theory)), analysis(make_theory(run.theory)) {
    for (const UnitRecord& unit : units) {
      statistics.add(unit);
      analysis.add(unit);
    }
  }
  ChainStatistics statistics;
  ChainAnalysis analysis;
};

void expect_close(double a, double b, double relative) { EXPECT_NEAR(a, b, relative * std::abs(b)); }

class Figures : public testing::Test {
 protected:
  RunSpec run_ = chain_run(16);
  std::vector<UnitRecord> units_ = units_of(make_log(run_, 200, {0, 60, 130}));
};

TEST_F(Figures, StreamedAreTheOnesOfTheWholeLog) {
  for (UnitRecord& unit : units_) unit.data.log_p[3] = unit.accepted[3] ? unit.data.log_p[3] : kNan;
  const Both both(run_, units_);
  const auto& live = both.statistics;
  const auto whole = both.analysis.result(0);
  EXPECT_EQ(live.proposals(), whole.proposals);
  EXPECT_EQ(live.acceptance().accepted(), whole.accepted);
  EXPECT_EQ(live.acceptance().longest_run(), whole.longest_rejection_run);
  EXPECT_EQ(live.invalid(), whole.invalid);
  EXPECT_GT(whole.invalid, 10u);
  expect_close(live.acceptance().rate(), whole.acceptance, 1e-12);
  expect_close(live.weights().ess(), whole.ess, 1e-12);
  expect_close(live.weights().log_z().value, whole.log_z.value, 1e-12);
  expect_close(live.weights().log_z().error, whole.log_z.error, 1e-12);
  for (std::size_t o = 0; o < whole.rows.size(); ++o) {
    expect_close(live.observables()[o].series.estimate().mean, whole.rows[o].estimate.value, 1e-12);
  }
}

// However steady a series looks: where the chain stands still for most of its time, nothing is known of what it missed.
TEST_F(Figures, AreNotReliedOnWhereTheChainIsShortForItsRejections) {
  const auto moving = Both(run_, units_).analysis.result(0);
  EXPECT_GT(std::ranges::count_if(moving.rows, [](const ObservableRow& row) { return row.estimate.reliable; }), 0);
  for (std::size_t i = 100; i < 190; ++i) std::ranges::fill(units_[i].accepted, std::uint8_t{0});
  const auto standing = Both(run_, units_).analysis.result(0);
  EXPECT_GT(50 * standing.tau_acc, 200 * 16);
  for (const ObservableRow& row : standing.rows) EXPECT_FALSE(row.estimate.reliable);
}

// Against sums written out here, for the first observable.
TEST_F(Figures, AreThoseOfTheStatesAndWeights) {
  std::vector<double> chi2, w;
  double current = 0;
  for (const UnitRecord& unit : units_) {
    for (std::size_t k = 0; k < run_.unit; ++k) {
      const double m = unit.data.sums[3 * run_.unit + k];
      if (unit.accepted[k]) current = m * m / 16.0;
      chi2.push_back(current);
      w.push_back(std::exp(unit.data.log_p[k] - unit.data.log_q[k]));
    }
  }
  const double n = static_cast<double>(w.size());
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  const double squares = std::inner_product(w.begin(), w.end(), w.begin(), 0.0);
  const auto whole = Both(run_, units_).analysis.result(0);
  expect_close(whole.ess, sum * sum / (n * squares), 1e-12);
  EXPECT_NEAR(whole.log_z.value, std::log(sum / n), 1e-12);
  expect_close(whole.rows[0].estimate.value, std::accumulate(chi2.begin(), chi2.end(), 0.0) / n, 1e-12);
}

TEST_F(Figures, CountAProposalOfWeightZeroAsValid) {
  units_[5].accepted[2] = 0;
  units_[5].data.log_p[2] = -kInfinity;
  const Both both(run_, units_);
  EXPECT_EQ(both.statistics.invalid(), 0u);
  EXPECT_EQ(both.statistics.weights().count(), both.statistics.proposals());
  expect_close(both.statistics.weights().ess(), both.analysis.result(0).ess, 1e-12);
}

TEST_F(Figures, CountAnInvalidProposalAsAChainStep) {
  units_[5].accepted[2] = 0;
  units_[5].data.log_q[2] = kNan;
  const Both both(run_, units_);
  EXPECT_EQ(both.statistics.invalid(), 1u);
  EXPECT_EQ(both.statistics.proposals(), 200u * 16u);
  EXPECT_EQ(both.statistics.observables()[0].series.count(), 200u * 16u);
  EXPECT_EQ(both.statistics.weights().count(), 200u * 16u - 1);
}

TEST_F(Figures, OutliveWeightsThatOverflow) {
  units_[5].accepted[2] = 0;
  units_[5].data.log_p[2] = 1e308;
  units_[5].data.log_q[2] = -1e308;
  const Both both(run_, units_);
  EXPECT_EQ(both.statistics.invalid(), 1u);
  EXPECT_TRUE(std::isfinite(both.analysis.result(0).ess));
}

TEST_F(Figures, OfANanObservableAreUndefinedAndThoseOfTheOthersAreNot) {
  UnitRecord& unit = units_[7];
  for (std::size_t k = 0; k < run_.unit; ++k) unit.data.sums[k] = unit.accepted[k] ? kNan : 0.0;  // the hopping term
  const Both both(run_, units_);
  const auto whole = both.analysis.result(0);
  for (std::size_t o = 0; o < whole.rows.size(); ++o) {
    const bool defined = whole.rows[o].quantity.name != "hopping";
    EXPECT_EQ(whole.rows[o].defined, defined) << whole.rows[o].quantity.name;
    EXPECT_EQ(both.statistics.observables()[o].defined, defined) << whole.rows[o].quantity.name;
  }
  EXPECT_EQ(both.statistics.invalid(), 0u);
}

TEST_F(Figures, OfARejectedNanObservableAreDefined) {
  UnitRecord& unit = units_[7];
  for (std::size_t k = 0; k < run_.unit; ++k) {
    if (!unit.accepted[k]) unit.data.sums[k] = kNan;
  }
  const auto whole = Both(run_, units_).analysis.result(0);
  for (const auto& row : whole.rows) EXPECT_TRUE(row.defined) << row.quantity.name;
}

TEST_F(Figures, LeaveBurnInOutOfTheObservablesOnly) {
  units_[0].data.sums[0] = kNan;  // of the start state
  ASSERT_EQ(units_[0].accepted[0], 1);
  const Both both(run_, units_);
  const auto whole = both.analysis.result(0), burnt = both.analysis.result(500);
  EXPECT_EQ(burnt.discarded, 500u);
  EXPECT_EQ(burnt.proposals, whole.proposals);
  EXPECT_EQ(burnt.ess, whole.ess);
  EXPECT_FALSE(whole.rows[6].defined);
  EXPECT_TRUE(burnt.rows[6].defined);
  EXPECT_NE(burnt.rows[0].estimate.value, whole.rows[0].estimate.value);
}

TEST_F(Figures, RefuseABurnInThatLeavesLessThanTwoSteps) {
  const Both both(run_, units_);
  EXPECT_NO_THROW(both.analysis.result(200 * 16 - 2));
  EXPECT_THROW(both.analysis.result(200 * 16 - 1), Error);
  EXPECT_THROW(both.analysis.result(std::numeric_limits<std::uint64_t>::max()), Error);
}

TEST_F(Figures, OfAnObservableWhoseSquareNoDoubleHoldsAreUndefined) {
  for (UnitRecord& unit : units_) unit.data.sums[0] = 1e200 * static_cast<double>(unit.data.first_index);
  const Both both(run_, units_);
  EXPECT_FALSE(both.statistics.observable("hopping").defined);
  for (const auto& row : both.analysis.result(0).rows) EXPECT_EQ(row.defined, row.quantity.name != "hopping");
}

TEST_F(Figures, OfAnEmptyLogAreUndefined) {
  const auto whole = Both(run_, {}).analysis.result(0);
  EXPECT_EQ(whole.proposals, 0u);
  EXPECT_TRUE(std::isnan(whole.acceptance));
  EXPECT_TRUE(std::isnan(whole.ess));
  for (const auto& row : whole.rows) EXPECT_FALSE(row.defined);
}

TEST_F(Figures, BeforeTheStartStateAreThoseOfNoState) {
  UnitRecord first{random_unit(run_, 0), std::vector<std::uint8_t>(run_.unit, 0)};
  for (double& log_q : first.data.log_q) log_q = kNan;
  const Both both(run_, {first});
  EXPECT_EQ(both.statistics.proposals(), 16u);
  EXPECT_EQ(both.statistics.invalid(), 16u);
  EXPECT_EQ(both.statistics.observables()[0].series.count(), 0u);
  EXPECT_TRUE(std::isnan(both.analysis.result(0).ess));
}

TEST_F(Figures, NameTheChosenObservableOrTheFirst) {
  const ChainStatistics statistics(make_theory(run_.theory));
  EXPECT_EQ(statistics.observable("phi2").observable.name, "phi2");
  EXPECT_EQ(statistics.observable("").observable.name, "chi2");
}

TEST(StateWalk, GivesEachStepTheValuesOfTheStateThatItEndsIn) {
  StateWalk walk({{"first sum", "", "", [](double, SumsOf sums) { return sums[0]; }},
                  {"second sum", "", "", [](double, SumsOf sums) { return sums[1]; }},
                  {"log_p", "", "", [](double log_p, SumsOf) { return log_p; }}},
                 2);
  const UnitRecord first{{0, 1, {kNan, -1, -2}, {0, 0, 0}, {1, 2, 3, 10, 20, 30}}, {0, 1, 0}};
  const UnitRecord second{{3, 1, {-4, -5, -6}, {0, 0, 0}, {4, 5, 6, 40, 50, 60}}, {0, 0, 1}};
  EXPECT_THAT(walk.walk(first), ElementsAre(ElementsAre(2, 2), ElementsAre(20, 20), ElementsAre(-1, -1)))
      << "none before the start state";
  EXPECT_THAT(walk.walk(second), ElementsAre(ElementsAre(2, 2, 6), ElementsAre(20, 20, 60), ElementsAre(-1, -1, -6)));
}

TEST(StateWalk, RefusesAUnitWithOtherSums) {
  StateWalk walk({{"second sum", "", "", [](double, SumsOf sums) { return sums[1]; }}}, 2);
  EXPECT_THROW(walk.walk({{0, 1, {-1, -2}, {0, 0}, {1, 2}}, {1, 0}}), Error) << "would read past its end";
}

}  // namespace
}  // namespace flowloom
