// The sums that a theory logs for each proposal, in the order of Theory::sums(); its action is linear in them.
//
// First come sums over sites: a theory has LocalDensities<Theory> for a cursor (lattice/cursor.h), as lattice/u1.inl.
//
//   at(x)                      the summands at a site, an array
//   pull_back(x, slopes, add)  calls add(place, component, slope) for the slopes of sum_k slopes[k] at(x)[k] by all
//                              variables that it reads; sums that the action does not contain may be ignored
//
// Behind them may stand functions of the whole field, as log|det D|: a theory that has some says GlobalSums<Theory>
// again, as lattice/schwinger.inl:
//
//   kCount
//   GlobalSums(theory)
//   cells_for_sums(), cells_for_slopes()   of a workspace, whose content does not matter; each thread needs its own
//   at<V>(read, work)                      an array of them for one V of samples; read(component, site) is a variable
//   pull_back<V>(slopes, read, work, add)  calls add(component, site, slope) for the slopes of
//                                          sum_k slopes[k] at(read)[k] by all variables
//
// `work` can be added to and indexed, and has cells that a V is made of and stored to: doubles or rows of lanes. For
// tensors there is TensorGlobalSums (flow/torch/theory.h).
#pragma once

#include <array>
#include <cstddef>

namespace flowloom {

#include "lattice/sums.inl"

}  // namespace flowloom
