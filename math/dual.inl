// Dual numbers: a value and its slope by one variable, so that a formula written for values gives its derivative too.

template <class V>
struct Dual {
  V value, slope;
};

template <class V>
constexpr Dual<V> operator+(const Dual<V>& a, const Dual<V>& b) {
  return {a.value + b.value, a.slope + b.slope};
}
template <class V>
constexpr Dual<V> operator-(const Dual<V>& a, const Dual<V>& b) {
  return {a.value - b.value, a.slope - b.slope};
}
template <class V>
constexpr Dual<V> operator*(const Dual<V>& a, const Dual<V>& b) {
  return {a.value * b.value, a.value * b.slope + a.slope * b.value};
}
template <class V>
constexpr Dual<V> operator*(const Dual<V>& a, double b) {
  return {a.value * b, a.slope * b};
}
template <class V>
constexpr Dual<V> operator+(const Dual<V>& a, double b) {
  return {a.value + V(b), a.slope};
}
