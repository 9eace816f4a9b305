// Gauge-equivariant couplings of a field of angles, one for each link (arXiv:2003.06413).
//
//   field = layer_{n-1}( ... layer_0( z ) ... ),  z independent and uniform on the circle
//
// A layer has active links. Each is the first link of a loop, its active loop, that contains no other active link. The loop's
// angle x, which no gauge transformation changes, goes through a monotone map f of the circle and a rotation, and the link takes the
// change: theta' = theta + (f(x) + t - x). The parameters of f, and t, come from a network at the link's site, which sees the cosine
// and the sine of loops without any active link (its context; two channels a loop, zero where a loop is not frozen), so that the
// layer commutes with gauge transformations and log_det = sum of log f'(x) over the active links.
//
// Link (mu, x) is active in a mask iff mu is one of its directions and sum_nu step_nu x_nu + offset = 0 modulo its
// width; or, for a mask that is a single layer, x_nu = at_nu modulo every_nu. Masks take turns, each with one offset
// after the other; when all have had their turn, the next active loop of each link has its: the rectangles of the
// mask's extents (plaquettes, unless it says otherwise) that begin with the link, forwards and backwards in each plane.
//
// An active loop and the one across its link make a rectangle, whose angle the layer does not change. As a loop of the
// context, "around", it stands at the link's site. In two dimensions without fermions its halves depend on it alone,
// and masks that halve loops from the torus down to plaquettes have the theory's density with one layer for each
// halving:
//
//   p(x | around) = p_A(x) p_A(around - x) / p_2A(around),   p_A(x) = sum_n I_n(beta)^A cos(n x)
//
// It is even about half the angle around, which no continuous function of cosine and sine is: a mask can have x counted
// from there. (Not in long sequences of layers: what f stretches moves the places from where the next ones count.)
//
// Weights: the networks'.
#pragma once

#include "flow/architecture.h"
#include "flow/circle_map.h"
#include "lattice/field_type.h"

namespace flowloom {

struct LinkMask {
  std::vector<std::size_t> directions;  // different ones
  std::vector<std::int64_t> steps = {};  // one for each direction, as in what follows
  std::int64_t width = 1, offset = 0;
  std::vector<std::int64_t> at = {}, every = {};  // or both empty
  std::vector<std::int64_t> loop = {};  // extents
  bool half_around = false;             // x is counted from half the angle around

  bool active(std::size_t mu, std::span<const std::int64_t> x) const;
};

// Which loops networks see.
struct LoopContext {
  bool plaquettes, rectangles, around;
};

// A link in a loop: its variable, and whether the loop goes along it (1) or against it (-1).
struct LoopLink {
  std::uint32_t variable;
  double sign;
};
using Loop = std::vector<LoopLink>;

// One layer on a lattice.
struct GaugeCoupling {
  struct Active {
    std::uint32_t variable;
    Loop rest;              // of its active loop, which goes along the link
    Loop around;            // from half of whose angle, that in [-pi, pi], its own is counted; may be empty
    std::uint32_t output;   // its site's place among sites.outputs
    std::uint32_t channel;  // the first of its numbers among the network's outputs there
  };

  CouplingSites sites;  // inputs: where a loop of the context is frozen
  std::vector<Active> active;
  std::vector<std::vector<Loop>> context;  // [input site][loop of the context]: empty where it is not frozen
};

// What their networks see and change, in the same order.
std::vector<CouplingSites> sites_of(const std::vector<GaugeCoupling>& couplings);

class GaugeCouplingFlow : public Architecture {
 public:
  static constexpr FieldType kFieldType = FieldType::kAngle;

  // `section` is the [flow] of a run file after checking against `kind().keys`; `dimensions` that of the lattice.
  GaugeCouplingFlow(const Section& section, std::size_t dimensions);
  static const Kind& kind();

  CircleMap map() const { return map_; }
  std::size_t pieces() const { return pieces_; }  // bins or components

  // Of f, without the rotation, which stands behind them.
  std::size_t map_parameters() const {
    return map_ == CircleMap::kSpline ? SplineShape{pieces_, /*circular=*/true}.parameters() : pieces_;
  }

  // Layer i is coupling i modulo their number. Throws `kInvalidInput`, saying which mask, if a mask does not fit the lattice, has no active
  // link on it, or none of its links has an active loop.
  std::vector<GaugeCoupling> couplings(const Geometry& geometry) const;

  // Whether networks see anything: a context loop that is never frozen, or out of the network's reach, is nothing to see.
  bool couples() const { return context_.around || network().kernel > 1; }

 private:
  std::vector<LinkMask> masks_;  // offsets included
  CircleMap map_;
  std::size_t pieces_;
  LoopContext context_;
};

}  // namespace flowloom
