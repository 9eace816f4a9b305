#include "client/samples.h"

#include <algorithm>
#include <cmath>

#include "client/numbers.h"
#include "spec/error.h"

namespace flowloom {

SampleWriter::SampleWriter(const AnyTheory& theory, SampleFormat format)
    : format_(format),
      observables_(theory_observables(theory)),
      sums_(theory_sums(theory).size()),
      columns_{"log_p", "log_q"} {
  for (const SumInfo& sum : theory_sums(theory)) {
    const bool taken = std::any_of(observables_.begin(), observables_.end(),
                                   [&](const Observable& observable) { return observable.name == sum.name; });
    columns_.push_back(sum.name + (taken ? "_sum" : ""));
  }
  for (const Observable& observable : observables_) columns_.push_back(observable.name);
}

std::string SampleWriter::header() const {
  if (format_ != SampleFormat::kCsv) return "";
  std::string line = "index,version,accepted";
  for (const std::string& column : columns_) line += "," + column;
  return line + "\n";
}

std::string SampleWriter::line(const UnitRecord& unit, std::size_t k) const {
  const UnitData& data = unit.data;
  const std::size_t count = data.count();
  if (data.sums.size() != sums_ * count) {
    throw Error(ErrorCode::kCorrupt, "The unit at proposal " + std::to_string(data.first_index) +
                                         " has other sums than this theory; its log is another version's.");
  }
  std::vector<double> numbers{data.log_p[k], data.log_q[k]};
  for (std::size_t s = 0; s < sums_; ++s) numbers.push_back(data.sums[s * count + k]);
  const std::vector<double> sums(numbers.begin() + 2, numbers.end());
  for (const Observable& observable : observables_) numbers.push_back(observable.value(data.log_p[k], sums));

  const std::string index = std::to_string(data.first_index + k);
  const std::string version = std::to_string(data.version);
  std::string line;
  if (format_ == SampleFormat::kCsv) {
    line = index + "," + version + "," + (unit.accepted[k] ? "1" : "0");
    for (const double number : numbers) line += "," + exact_number(number);
    return line + "\n";
  }
  line = "{\"index\":" + index + ",\"version\":" + version +
         ",\"accepted\":" + (unit.accepted[k] ? "true" : "false");
  for (std::size_t c = 0; c < numbers.size(); ++c) {
    line += ",\"" + columns_[c] + "\":" + (std::isfinite(numbers[c]) ? exact_number(numbers[c]) : "null");
  }
  return line + "}\n";
}

}  // namespace flowloom
