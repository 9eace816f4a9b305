// What theories say again (lattice/sums.h).

template <class Theory>
struct LocalDensities;

template <class Theory>
struct GlobalSums {
  static constexpr std::size_t kCount = 0;
  constexpr explicit GlobalSums(const Theory&) {}
};

template <class Theory>
inline constexpr std::size_t kLocalSums = Theory::kSums - GlobalSums<Theory>::kCount;
