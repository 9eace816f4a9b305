// The cursor that follows tables (lattice/cursor.h).

// `read(component, site)` gives the variable.
template <class Read>
class Cursor {
 public:
  constexpr Cursor(const Read& read, const Steps& steps, std::size_t site) : read_(read), steps_(steps), site_(site) {}

  constexpr auto variable(std::size_t component) const { return read_(component, site_); }
  constexpr Cursor forward(std::size_t mu) const { return at(steps_.forward[mu * steps_.sites + site_]); }
  constexpr Cursor backward(std::size_t mu) const { return at(steps_.backward[mu * steps_.sites + site_]); }
  constexpr std::size_t dimensions() const { return steps_.dimensions; }
  constexpr std::size_t extent(std::size_t mu) const { return steps_.extents[mu]; }
  constexpr std::size_t site() const { return site_; }

 private:
  constexpr Cursor at(std::size_t site) const { return Cursor(read_, steps_, site); }

  Read read_;
  Steps steps_;
  std::size_t site_;
};
