#include "client/samples.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "chain/state_walk.h"
#include "client/numbers.h"

namespace flowloom {

SampleWriter::SampleWriter(const AnyTheory& theory, SampleFormat format, SampleView view)
    : format_(format),
      view_(view),
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
  std::string line = "index,state,version,accepted";
  for (const std::string& column : columns_) line += "," + column;
  return line + "\n";
}

void SampleWriter::step(const UnitRecord& unit, std::size_t k) {
  const UnitData& data = unit.data;
  const std::size_t count = data.count();
  refuse_other_sums(data, sums_);
  proposal_.index = data.first_index + k;
  proposal_.version = data.version;
  proposal_.numbers = {data.log_p[k], data.log_q[k]};
  for (std::size_t s = 0; s < sums_; ++s) proposal_.numbers.push_back(data.sums[s * count + k]);
  accepted_ = unit.accepted[k] != 0;
  if (accepted_) state_ = proposal_;
}

std::string SampleWriter::line() const {
  const Draw* draw = view_ == SampleView::kProposals ? &proposal_ : state_ ? &*state_ : nullptr;
  std::vector<double> numbers = draw ? draw->numbers : std::vector<double>();
  const std::span<const double> sums = draw ? std::span(draw->numbers).subspan(2) : std::span<const double>();
  for (const Observable& observable : observables_) {
    if (draw) numbers.push_back(observable.value(draw->numbers[0], sums));
  }
  numbers.resize(columns_.size(), std::nan(""));

  const bool csv = format_ == SampleFormat::kCsv;
  const std::string nothing = csv ? "" : "null";
  const std::string index = std::to_string(proposal_.index);
  const std::string state = state_ ? std::to_string(state_->index) : nothing;
  const std::string version = draw ? std::to_string(draw->version) : nothing;
  std::string line;
  if (csv) {
    line = index + "," + state + "," + version + "," + (accepted_ ? "1" : "0");
    for (const double number : numbers) line += "," + exact_number(number);
    return line + "\n";
  }
  line = "{\"index\":" + index + ",\"state\":" + state + ",\"version\":" + version +
         ",\"accepted\":" + (accepted_ ? "true" : "false");
  for (std::size_t c = 0; c < numbers.size(); ++c) {
    line += ",\"" + columns_[c] + "\":" + (std::isfinite(numbers[c]) ? exact_number(numbers[c]) : "null");
  }
  return line + "}\n";
}

}  // namespace flowloom
