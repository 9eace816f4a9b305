// What the variables of a theory are, by which flows know whether they can act on them.
#pragma once

namespace flowloom {

enum class FieldType {
  kScalar,  // one real number for each site
  kAngle,   // an angle for each link, in radians: a U(1) gauge field
  kMatrix,  // a matrix for each link: an SU(N) gauge field, as lattice/su.h lays it out
};

}  // namespace flowloom
