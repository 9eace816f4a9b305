#include "chain/observable_row.h"

#include <algorithm>

#include "chain/state_walk.h"
#include "lattice/references.h"

namespace flowloom {

ObservableRow observable_row(const AnyTheory& theory, const Quantity& quantity, std::span<const double> series) {
  ObservableRow row{quantity, false, {}, exact_value(theory, quantity.name)};
  row.defined = series.size() >= 2 && std::all_of(series.begin(), series.end(), is_measurable);
  if (row.defined) row.estimate = stats::gamma_method(series);
  return row;
}

}  // namespace flowloom
