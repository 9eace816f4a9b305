#include "coordinator/recheck.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace flowloom {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::Pair;

const NoiseKey kNoise = NoiseKey::from("recheck");
constexpr std::uint64_t kSize = 4;  // proposals in a unit
constexpr WorkerId kAuthor = 9;     // of the log's units

UnitData numbers(UnitNumber unit, double value) {
  return {unit * kSize, 1, std::vector<double>(kSize, value), std::vector<double>(kSize, 0.0), {}};
}

class ExactnessRule9Recheck : public testing::Test {
 protected:
  // The log's answer to a query: these units.
  void read(std::uint64_t query, const std::vector<UnitNumber>& units) {
    std::vector<UnitRecord> records;
    for (const UnitNumber unit : units) {
      UnitRecord& record = records.emplace_back();
      record.data = numbers(unit, 0.5);
      record.worker = kAuthor;
    }
    recheck_.read(query, std::move(records));
  }
  void begin(const std::vector<UnitNumber>& units) {
    recheck_.begin_doubtful();
    read(recheck_.take_query()->number, units);
  }
  std::optional<UnitNumber> grant(WorkerId worker) {
    const std::vector<WorkerId> connected{1, 2, 3};
    return recheck_.ledger()->grant(
        worker, recheck_.end(), connected, [&](WorkerId id, UnitNumber place) { return recheck_.may_draw(id, place); },
        Time{0});
  }
  std::vector<Jury::Wrong> heard(WorkerId worker, UnitNumber place, double value) {
    const UnitNumber unit = recheck_.at(place).data.first_index / kSize;
    return recheck_.heard(place, worker, worker, numbers(unit, value), false);
  }

  Recheck recheck_{kNoise, 0.0, Time{100}};
};

TEST_F(ExactnessRule9Recheck, HasNothingToDoUntilItBegins) {
  EXPECT_FALSE(recheck_.under_way());
  EXPECT_FALSE(recheck_.take_query());
  EXPECT_EQ(recheck_.ledger(), nullptr);
}

TEST(ExactnessRule9Query, WantsUnitsThatOnlyQuarantinedWorkersVouchFor) {
  const RecheckQuery query{};
  const std::set<WorkerId> quarantined{2, 4};
  const auto wants = [&](WorkerId worker, WorkerId second) {
    return query.wants(kNoise, kSize, {kSize, worker, second}, quarantined);
  };
  EXPECT_TRUE(wants(2, 0));
  EXPECT_TRUE(wants(2, 4));
  EXPECT_FALSE(wants(2, 3));
  EXPECT_FALSE(wants(3, 2));
  EXPECT_FALSE(wants(3, 0));
  EXPECT_FALSE(wants(0, 0)) << "nobody is not in quarantine";
}

TEST(ExactnessRule9Query, OfASampleWantsTheUnitsThatItContainsWhoeverDrewThem) {
  RecheckQuery query;
  query.sample = UnitSample{0.5, 3};
  std::size_t wanted = 0;
  for (UnitNumber unit = 0; unit < 64; ++unit) {
    const bool wants = query.wants(kNoise, kSize, {unit * kSize, 2, 0}, {2});
    EXPECT_EQ(wants, query.sample->contains(kNoise, unit));
    wanted += wants;
  }
  EXPECT_GT(wanted, 0u);
  EXPECT_LT(wanted, 64u);
}

TEST_F(ExactnessRule9Recheck, ReadsTheLogInBatchesAndOnceEach) {
  recheck_.begin_doubtful();
  const auto first = recheck_.take_query();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->first_index, 0u);
  EXPECT_FALSE(first->sample);
  EXPECT_FALSE(recheck_.take_query()) << "it has not been answered";
  read(first->number, {2, 5});
  EXPECT_FALSE(recheck_.take_query()) << "there is a batch";
  EXPECT_EQ(recheck_.place_of(5 * kSize), 1u);
  EXPECT_EQ(recheck_.place_of(4 * kSize), std::nullopt);
  heard(1, *grant(1), 0.5);
  heard(1, *grant(1), 0.5);
  const auto second = recheck_.take_query();
  ASSERT_TRUE(second);
  EXPECT_GT(second->first_index, 5 * kSize) << "behind the last one";
  EXPECT_LE(second->first_index, 6 * kSize);
  read(second->number, {});
  EXPECT_FALSE(recheck_.under_way());
  EXPECT_EQ(recheck_.checked(), 2u);
}

TEST_F(ExactnessRule9Recheck, SaysWhichUnitsTheLogHasRightAndWhoFoundThemSo) {
  begin({2, 5});
  heard(1, *grant(1), 0.5);
  heard(2, *grant(2), 0.5);
  EXPECT_THAT(recheck_.take_confirmed(), ElementsAre(Pair(2 * kSize, 1), Pair(5 * kSize, 2)));
  EXPECT_THAT(recheck_.take_confirmed(), IsEmpty());
}

TEST_F(ExactnessRule9Recheck, GivesAUnitToOthersWhereOneFindsSomethingElse) {
  begin({2});
  EXPECT_THAT(heard(1, *grant(1), 0.75), IsEmpty()) << "the log may be wrong";
  EXPECT_EQ(grant(1), std::nullopt);
  ASSERT_EQ(grant(2), 0u);
  EXPECT_THAT(heard(2, 0, 0.5), ElementsAre(Field(&Jury::Wrong::worker, 1u)));
  EXPECT_FALSE(recheck_.wrong());
}

TEST_F(ExactnessRule9Recheck, NamesTheFirstWrongUnitOnceAllBeforeItAreKnown) {
  begin({2, 5, 6});
  for (const WorkerId worker : {1, 2}) {  // the last one first
    while (const auto place = grant(worker)) {
      if (*place > 0) heard(worker, *place, 0.75);
    }
  }
  EXPECT_FALSE(recheck_.wrong()) << "unit 2 is not known";
  heard(3, 0, 0.5);
  ASSERT_TRUE(recheck_.wrong());
  EXPECT_EQ(recheck_.wrong()->first_index, 5 * kSize);
  EXPECT_EQ(recheck_.wrong()->worker, kAuthor);
  EXPECT_DOUBLE_EQ(recheck_.wrong()->by, 0.25);
  EXPECT_FALSE(recheck_.take_query()) << "nothing more happens";
}

TEST_F(ExactnessRule9Recheck, KeepsWhatAWorkerSaidThatLeft) {
  begin({2});
  heard(1, *grant(1), 0.75);
  recheck_.left(1);
  heard(2, 0, 0.75);
  EXPECT_TRUE(recheck_.wrong());
}

TEST_F(ExactnessRule9Recheck, ForgetsWhatAWorkerSaidThatIsWrongElsewhere) {
  begin({2});
  heard(1, *grant(1), 0.75);
  recheck_.disbelieve(1);
  heard(2, 0, 0.75);
  EXPECT_FALSE(recheck_.wrong()) << "of the two that said so one counts no more";
  heard(3, 0, 0.75);
  EXPECT_TRUE(recheck_.wrong());
}

TEST_F(ExactnessRule9Recheck, TakesNoUnitsOfAQueryFromBeforeANewBeginning) {
  recheck_.begin_doubtful();
  const auto old = recheck_.take_query();
  recheck_.begin_doubtful();
  const auto query = recheck_.take_query();
  ASSERT_TRUE(query);
  read(old->number, {2});
  EXPECT_EQ(recheck_.ledger(), nullptr);
  read(query->number, {3});
  EXPECT_EQ(recheck_.place_of(3 * kSize), 0u);
}

TEST_F(ExactnessRule9Recheck, BeginsASampleWhenNothingIsDoubtfulAnyMore) {
  recheck_.begin_doubtful();
  const auto doubtful = recheck_.take_query();
  recheck_.begin_sample({0.5, 3});
  EXPECT_FALSE(recheck_.take_query());
  read(doubtful->number, {});
  EXPECT_TRUE(recheck_.under_way());
  const auto query = recheck_.take_query();
  ASSERT_TRUE(query && query->sample);
  EXPECT_EQ(query->first_index, 0u);
  EXPECT_EQ(query->sample->seed, 3u);
  read(query->number, {});
  EXPECT_FALSE(recheck_.under_way());
}

TEST(UnitSample, IsTheAskedShareAndAnotherOneForAnotherSeed) {
  std::vector<UnitNumber> one, other;
  for (UnitNumber unit = 0; unit < 10000; ++unit) {
    if (UnitSample{0.1, 1}.contains(kNoise, unit)) one.push_back(unit);
    if (UnitSample{0.1, 2}.contains(kNoise, unit)) other.push_back(unit);
    EXPECT_TRUE((UnitSample{1.0, 1}.contains(kNoise, unit)));
  }
  EXPECT_NEAR(static_cast<double>(one.size()), 1000, 120);  // four standard deviations
  EXPECT_NE(one, other);
}

TEST(UnitSample, HasAUnitInsteadWhereItContainsNone) {
  std::set<UnitNumber> chosen;
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    const UnitSample sample{1e-9, seed};
    for (const UnitNumber units : {1, 2, 125}) {
      ASSERT_LT(unit_instead(sample, kNoise, units), units);
    }
    chosen.insert(unit_instead(sample, kNoise, 125));
  }
  EXPECT_GT(chosen.size(), 80u);  // 125 (1 - exp(-200/125)) = 100 are expected
}

}  // namespace
}  // namespace flowloom
