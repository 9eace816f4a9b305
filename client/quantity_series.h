// Quantities after each step of a Markov chain: kept for the Gamma method, and written to a CSV file if there is to be
// one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "chain/observable_row.h"
#include "client/numbers.h"
#include "spec/error.h"

namespace flowloom {

class QuantitySeries {
 public:
  // `step`: the name of the file's first column. An empty `file`: none. Throws `kUnavailable` if it cannot be written.
  QuantitySeries(std::vector<Quantity> quantities, const std::string& step, std::filesystem::path file)
      : quantities_(std::move(quantities)), series_(quantities_.size()), file_(std::move(file)) {
    if (file_.empty()) return;
    csv_.open(file_);
    csv_ << step;
    for (const Quantity& quantity : quantities_) csv_ << "," << quantity.name;
    csv_ << "\n";
    refuse_a_bad_file();
  }

  void add(std::uint64_t step, const std::vector<double>& values) {
    for (std::size_t q = 0; q < values.size(); ++q) series_[q].push_back(values[q]);
    if (!csv_.is_open()) return;
    csv_ << step;
    for (const double value : values) csv_ << "," << exact_number(value);
    csv_ << "\n";
  }

  std::uint64_t steps() const { return series_.front().size(); }

  std::vector<ObservableRow> rows(const AnyTheory& theory) const {
    std::vector<ObservableRow> rows;
    for (std::size_t q = 0; q < quantities_.size(); ++q) {
      rows.push_back(observable_row(theory, quantities_[q], series_[q]));
    }
    return rows;
  }

  // To be called at the end, too: throws `kUnavailable` unless all of the file is written.
  void refuse_a_bad_file() {
    if (file_.empty() || csv_.flush()) return;
    throw Error(ErrorCode::kUnavailable, "'" + file_.string() + "' cannot be written (--output).");
  }

 private:
  std::vector<Quantity> quantities_;
  std::vector<std::vector<double>> series_;  // [quantity][step]
  std::filesystem::path file_;
  std::ofstream csv_;
};

}  // namespace flowloom
