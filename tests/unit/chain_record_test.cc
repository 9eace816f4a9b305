#include "chain/record.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <set>

#include "chain_cases.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

UnitRecord small_unit() { return {{0, 1, {-1.5, -2.0, -kInfinity}, {-1.0, -0.25, -3.0}, {0.5, 1.5, 2.5}}, {1, 1, 0}}; }

std::string hex(const std::string& bytes) {
  return to_hex(std::span(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
}

// Written out from docs/log-format.md with Python's struct and hashlib.
TEST(LogRecord, LinksAsTheLogFormatSays) {
  const std::vector<Record> records = {SwitchRecord{0, 1, sha256("checkpoint")}, small_unit(),
                                       SwitchRecord{3, 2, sha256("another"), Placement::kClock},
                                       ReweighRecord{1, 2, -0.75}, EventRecord{3, "the length was chosen by the data"}};
  const std::vector<std::string> links = {"0a15feacf0c3edfd4a1eda359df03cca9b623b1a9f7cf97e6d8cac33f8b324c0",
                                          "776fd8c34ca61905be772c24e8a2a09dd6fdc2e5c472506f09ae1dac4ea7ebe8",
                                          "b8a5597241c3bcae83c1cdaab31feaf8494e8e20a0063e4096f5debec396b4a9",
                                          "e1373fbea063dbf50fd2f63b8f9da446c004164a7ac2b97f37fe7abe5592743c",
                                          "839f0d923a6fce00fcd3dd85699a53b7cb4cd7c0a7663adbf6cb4a1be59f8fb1"};
  Sha256 link = sha256("identity");
  for (std::size_t i = 0; i < records.size(); ++i) {
    link = next_link(link, records[i]);
    EXPECT_EQ(to_hex(link), links[i]) << i;
  }
}

TEST(LogRecord, HasTheCanonicalBytesOfTheLogFormat) {
  EXPECT_EQ(hex(canonical_bytes(small_unit())),
            "55"  // 'U'
            "0000000000000000"
            "03000000"
            "03000000"  // first index, proposals, columns
            "000000000000f8bf"
            "00000000000000c0"
            "000000000000f0ff"  // log_p
            "000000000000f0bf"
            "000000000000d0bf"
            "00000000000008c0"  // log_q
            "000000000000e03f"
            "000000000000f83f"
            "0000000000000440"  // the one sum
            "03");              // accepted, accepted, rejected
  EXPECT_EQ(hex(canonical_bytes(ReweighRecord{258, 7, 1.0})),
            "52"
            "0201000000000000"
            "000000000000f03f");
  EXPECT_EQ(hex(canonical_bytes(EventRecord{1, "ab"})),
            "45"
            "0100000000000000"
            "02000000"
            "6162");
  EXPECT_EQ(hex(canonical_bytes(SwitchRecord{1, 7, Sha256{}, Placement::kClock})),
            "53"
            "0100000000000000" +
                std::string(64, '0') + "01");
}

// Versions are numbered by the coordinator in order of arrival; the checkpoint's hash is what counts.
TEST(LogRecord, DoesNotHashVersionNumbers) {
  UnitRecord unit = small_unit();
  unit.data.version = 9;
  EXPECT_EQ(canonical_bytes(unit), canonical_bytes(small_unit()));
  EXPECT_EQ(canonical_bytes(SwitchRecord{1, 7, Sha256{}, Placement::kClock}),
            canonical_bytes(SwitchRecord{1, 8, Sha256{}, Placement::kClock}));
  EXPECT_EQ(canonical_bytes(ReweighRecord{1, 7, 2.0}), canonical_bytes(ReweighRecord{1, 8, 2.0}));
}

TEST(LogRecord, HashesEverythingElse) {
  std::vector<Record> records;
  const auto unit = [&](auto change) {
    UnitRecord changed = small_unit();
    change(changed);
    records.push_back(changed);
  };
  unit([](UnitRecord&) {});
  unit([](UnitRecord& u) { u.data.first_index = 3; });
  unit([](UnitRecord& u) { u.data.log_p[1] = std::nextafter(u.data.log_p[1], 0); });
  unit([](UnitRecord& u) { u.data.log_q[0] = 0.0; });
  unit([](UnitRecord& u) { u.data.log_q[0] = -0.0; });
  unit([](UnitRecord& u) { u.data.sums[2] = 2.0; });
  unit([](UnitRecord& u) { std::swap(u.data.log_p, u.data.log_q); });
  unit([](UnitRecord& u) { u.accepted[2] = 1; });
  records.insert(records.end(), {SwitchRecord{3, 1, sha256("a")}, SwitchRecord{3, 1, sha256("a"), Placement::kClock},
                                 SwitchRecord{3, 1, sha256("b")}, SwitchRecord{4, 1, sha256("a")},
                                 ReweighRecord{3, 1, 1.0}, ReweighRecord{4, 1, 1.0}, ReweighRecord{3, 1, 2.0},
                                 EventRecord{3, "a"}, EventRecord{4, "a"}, EventRecord{3, "b"}});
  std::set<Sha256> links;
  for (const Record& record : records) links.insert(next_link(Sha256{}, record));
  EXPECT_EQ(links.size(), records.size());
}

TEST(LogRecord, LinksDependOnTheWholePast) {
  EXPECT_NE(next_link(sha256("a"), small_unit()), next_link(sha256("b"), small_unit()));
}

RC_GTEST_PROP(Canonical, TurnsEveryNanIntoOneAndLeavesEverythingElse, (std::uint64_t bits)) {
  const double value = std::bit_cast<double>(bits);
  const auto result = std::bit_cast<std::uint64_t>(canonical(value));
  RC_ASSERT(result == (std::isnan(value) ? 0x7ff8000000000000ULL : bits));
  const auto odd = std::bit_cast<double>(0xfff0000000000000ULL | (bits & 0xfffffffffffffULL) | 1);
  RC_ASSERT(std::bit_cast<std::uint64_t>(canonical(odd)) == 0x7ff8000000000000ULL);
}

TEST(Canonical, AReweighToAnyNanHasTheSameBytes) {
  EXPECT_EQ(canonical_bytes(ReweighRecord{1, 1, std::bit_cast<double>(0xfff8000000000001ULL)}),
            canonical_bytes(ReweighRecord{1, 1, kNan}));
}

TEST(Packing, IsLittleEndianFloat64) {
  EXPECT_EQ(hex(pack(std::vector<double>{1.0, -2.0})),
            "000000000000f03f"
            "00000000000000c0");
}

RC_GTEST_PROP(Packing, OfNumbersKeepsEveryBit, (const std::vector<std::uint64_t>& bits)) {
  std::vector<double> values;
  for (const std::uint64_t word : bits) values.push_back(std::bit_cast<double>(word));
  const std::vector<double> back = unpack(pack(values));
  RC_ASSERT(back.size() == bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) RC_ASSERT(std::bit_cast<std::uint64_t>(back[i]) == bits[i]);
}

TEST(Packing, PutsTheFirstFlagIntoTheLowestBit) {
  EXPECT_EQ(hex(pack_flags(std::vector<std::uint8_t>{1, 0, 0, 0, 0, 0, 0, 0, 0, 1})), "0102");
}

RC_GTEST_PROP(Packing, OfFlagsKeepsEachOne, (const std::vector<bool>& bits)) {
  const std::vector<std::uint8_t> flags(bits.begin(), bits.end());
  RC_ASSERT(pack_flags(flags).size() == (flags.size() + 7) / 8);
  RC_ASSERT(unpack_flags(pack_flags(flags), flags.size()) == flags);
}

}  // namespace
}  // namespace flowloom
