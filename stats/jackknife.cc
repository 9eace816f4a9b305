#include "stats/jackknife.h"

#include <cmath>
#include <stdexcept>
#include <vector>

namespace flowloom::stats {

std::size_t Bins::count_for(std::size_t measurements) const {
  if (count_ == 0 && size_ == 0) throw std::invalid_argument("Bins need a positive count or size.");
  const std::size_t count = count_ != 0 ? count_ : measurements / size_;
  if (count < 2) throw std::invalid_argument("The jackknife needs at least two bins.");
  if (count > measurements) throw std::invalid_argument("There are more bins than measurements.");
  return count;
}

JackknifeEstimate jackknife(Components components, const DerivedQuantity& f, Bins bins) {
  check_components(components);
  const std::size_t count = components.front().size();
  const double n = static_cast<double>(count);
  const std::size_t bin_count = bins.count_for(count);
  const std::size_t short_size = count / bin_count;
  const std::size_t longer_bins = count % bin_count;

  const std::vector<double> means = component_means(components);
  JackknifeEstimate out{.value = evaluate(f, means), .bins = bin_count};

  // Pseudo-values relative to F: the differences are what survives, so they are formed before anything large is added.
  std::vector<double> shifts(bin_count);
  std::vector<double> ratios(bin_count);
  std::vector<double> reduced(means.size());
  std::size_t start = 0;
  for (std::size_t j = 0; j < bin_count; ++j) {
    const std::size_t size = short_size + (j < longer_bins ? 1 : 0);
    const double m = static_cast<double>(size);
    for (std::size_t alpha = 0; alpha < means.size(); ++alpha) {
      double deviation = 0.0;
      for (const double x : components[alpha].subspan(start, size)) deviation += x - means[alpha];
      reduced[alpha] = means[alpha] - deviation / (n - m);
    }
    start += size;
    ratios[j] = n / m;
    shifts[j] = (ratios[j] - 1.0) * (out.value - evaluate(f, reduced));
    out.bias -= shifts[j] / ratios[j];
  }

  double sum = 0.0;
  for (std::size_t j = 0; j < bin_count; ++j) {
    const double deviation = shifts[j] + out.bias;
    sum += deviation * deviation / (ratios[j] - 1.0);
  }
  out.error = std::sqrt(sum / static_cast<double>(bin_count));
  return out;
}

}  // namespace flowloom::stats
