// Derived quantities: functions F(A_1, ..., A_n) of the means of several primary observables, such as a
// ratio, a connected susceptibility or an effective mass. The Gamma method and the jackknife take the same input.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace flowloom::stats {

// components[alpha][i]: measurement i of primary observable alpha, in the order of the Markov chain. All
// components have the same length: row i belongs to one configuration.
using Components = std::span<const std::span<const double>>;

// F. Receives one mean per component, in the same order. Must be smooth on the scale of the errors of those means.
using DerivedQuantity = std::function<double(std::span<const double> means)>;

// Throws `invalid_argument` unless there is at least one component, all have the same length, at least two,
// and all entries are finite.
void check_components(Components components);

// One mean per component; `components` must pass check_components.
std::vector<double> component_means(Components components);

// F(means), or `invalid_argument` if that is not a finite number.
double evaluate(const DerivedQuantity& f, std::span<const double> means);

}  // namespace flowloom::stats
