// What couplings of gauge fields have in common, whatever the links are (arXiv:2003.06413): which links change
// together, the loops through which they do, and what the networks see.
//
// A layer has active links. Each is the first link of a loop, its active loop, that contains no other active link. A
// map of the loop, which commutes with gauge transformations, tells how the link changes. The map's parameters come
// from a network at the link's site, which sees numbers of loops without any active link (its context; zero where a
// loop is not frozen) that no gauge transformation changes.
//
// Link (mu, x) is active in a mask iff mu is one of its directions and sum_nu step_nu x_nu + offset = 0 modulo its
// width; or, for a mask that is a single layer, x_nu = at_nu modulo every_nu. Masks take turns: all with offset 0, all
// with offset 1, ... When all have had their turn, the next active loop of each link has its: the rectangles of the
// mask's extents (plaquettes, unless it says otherwise) that begin with the link, forwards and backwards in each plane.
//
// An active loop and the one across its link make a rectangle, whose angle the layer does not change. As a loop of the
// context, "around", it stands at the link's site. In two dimensions without fermions its halves depend on it alone,
// and masks that halve loops from the torus down to plaquettes have the theory's density with one layer for each
// halving:
//
//   p(x | around) = p_A(x) p_A(around - x) / p_2A(around),   p_A(x) = sum_n I_n(beta)^A cos(n x)
//
// It is even about half the angle around, which no continuous function of cosine and sine is: of angles, a mask can
// have x counted from there. (Not in long sequences of layers: what f stretches moves the places from where the next
// ones count.)
//
// Weights: the networks'.
#pragma once

#include "flow/architecture.h"
#include "lattice/theories.h"
#include "spec/run_spec.h"

namespace flowloom {

struct LinkMask {
  std::vector<std::size_t> directions;   // different ones
  std::vector<std::int64_t> steps = {};  // one for each direction, as in what follows
  std::int64_t width = 1, offset = 0;
  std::vector<std::int64_t> at = {}, every = {};  // or both empty
  std::vector<std::int64_t> loop = {};            // extents
  bool half_around = false;                       // of angles: the loop's is counted from half the angle around

  bool active(std::size_t mu, std::span<const std::int64_t> x) const;
};

// Which loops networks see.
struct LoopContext {
  bool plaquettes, rectangles, around;
};

// A link in a loop: its number, mu V + x for the one at site x in direction mu of V sites, and whether the loop goes
// along it (1) or against it (-1).
struct LoopLink {
  std::uint32_t number;
  double sign;
  bool operator==(const LoopLink&) const = default;
};
using Loop = std::vector<LoopLink>;  // in the order in which it goes through them

// One layer on a lattice.
struct LoopCoupling {
  struct Active {
    std::uint32_t number;
    Loop rest;              // of its active loop, which goes along the link: from the link's end to its beginning
    Loop around;            // from half of whose angle, that in [-pi, pi], its own is counted; empty: from 0
    std::uint32_t output;   // its site's place among sites.outputs
    std::uint32_t channel;  // the first of its numbers among the network's outputs there
  };

  CouplingSites sites;  // inputs: the loops of the context that are frozen; a group is a loop
  std::vector<Active> active;
  std::vector<Loop> context;  // [input]
};

// What their networks see and change, in the same order.
std::vector<CouplingSites> sites_of(const std::vector<LoopCoupling>& couplings);

class LoopCouplingFlow : public Architecture {
 public:
  // Layer i is coupling i modulo their number. Throws `kInvalidInput`, saying which mask, if a mask does not fit the
  // lattice, has no active link on it, or none of its links has an active loop.
  std::vector<LoopCoupling> couplings(const Geometry& geometry) const;

  // Whether networks see anything: a context loop that is never frozen, or out of the network's reach, is nothing to
  // see.
  bool couples() const { return context_.around || network().kernel > 1; }

  // Numbers that a network gives for each active link, and that it sees of each loop.
  std::size_t link_parameters() const { return link_parameters_; }
  std::size_t loop_channels() const { return loop_channels_; }

 protected:
  LoopCouplingFlow(const Section& section, std::size_t dimensions, std::size_t loop_channels,
                   std::size_t link_parameters);

 private:
  std::vector<LinkMask> masks_;  // offsets included
  LoopContext context_;
  std::size_t loop_channels_, link_parameters_;
};

// The keys of such a flow, those of its maps being `own`, and further ones of its masks.
std::vector<Key> loop_coupling_keys(std::vector<Key> own, const std::vector<Key>& of_masks = {});

// The check of its section: of what its flow is made of, then of the flow.
void check_loop_section(const RunSpec& run);
void check_loop_flow(const RunSpec& run, const LoopCouplingFlow& flow);
template <class Flow>
void check_loop_coupling(const RunSpec& run) {
  check_loop_section(run);
  check_loop_flow(run, Flow(run.flow, make_theory(run.theory)));
}

}  // namespace flowloom
