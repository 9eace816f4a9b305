// What is compared between lanes and plain numbers: everything that a layer computes of one link, number by number,
// from kInputs numbers: first normals, then a matrix to decompose, then a slope's.

template <int N, class V>
constexpr Matrix<N, V> matrix_from(const V* numbers) {
  return matrix_of<N, V>(
      [&](auto i, auto j) { return Complex<V>{numbers[2 * (N * i + j)], numbers[2 * (N * i + j) + 1]}; });
}

template <int N, class V, class Visit>
void visit_spectral_numbers(const std::array<V, kInputs>& in, Visit visit) {
  std::array<V, kNormalsPerLink<N>> normals;
  std::copy_n(in.begin(), normals.size(), normals.begin());
  const auto random = haar<N>(normals);
  const auto loop = matrix_from<N>(in.data() + 12), slope = algebra_part(matrix_from<N>(in.data() + 30));
  const auto spectrum = decompose(loop);
  const auto box = box_of(spectrum);
  auto moved = box;
  each<N - 1>([&](auto k) { moved.at[k] = box.at[k] * box.at[k]; });
  const auto from = cell_of(box), to = cell_of(moved);
  const auto image = recompose(spectrum.vectors, to);
  const auto [frame, by_box] = recompose_pull_back(spectrum.vectors, to, slope, in[0]);
  const auto slopes = decompose_pull_back(spectrum.vectors, from, to, frame, by_box, in[0]);

  const auto det = determinant(random * loop);
  for (const V& number : {log_det_of_cells(from, to), norm(times_adjoint(loop, image)), det.re, det.im}) visit(number);
  each<N>([&](auto k) { visit(spectrum.gap[k]); });
  each<N - 1>([&](auto k) { visit(box.at[k]); });
  for (const auto* matrix : {&random, &spectrum.vectors, &image, &frame, &slopes.link, &slopes.rest}) {
    for (const auto& row : matrix->at) {
      for (const auto& entry : row) {
        visit(entry.re);
        visit(entry.im);
      }
    }
  }
}
