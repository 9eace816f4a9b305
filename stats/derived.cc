#include "stats/derived.h"

#include <cmath>
#include <stdexcept>

#include "stats/moments.h"

namespace flowloom::stats {

void check_components(Components components) {
  if (components.empty()) throw std::invalid_argument("There are no components to analyse.");
  const std::size_t length = components.front().size();
  if (length < 2) throw std::invalid_argument("An error needs at least two measurements.");
  for (const auto component : components) {
    if (component.size() != length) throw std::invalid_argument("The components differ in length.");
    for (const double x : component) {
      if (!std::isfinite(x)) throw std::invalid_argument("A measurement is not a finite number.");
    }
  }
}

std::vector<double> component_means(Components components) {
  std::vector<double> means;
  means.reserve(components.size());
  for (const auto component : components) means.push_back(mean(component));
  return means;
}

double evaluate(const DerivedQuantity& f, std::span<const double> means) {
  if (!f) throw std::invalid_argument("The derived quantity has no function.");
  const double value = f(means);
  if (!std::isfinite(value)) throw std::invalid_argument("The derived quantity is not finite near the measured means.");
  return value;
}

}  // namespace flowloom::stats
