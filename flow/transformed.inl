// What a transform f of one variable gives in either direction. T: a value (math/value.h), or a tensor.
//
// A transform tells its slopes in two functions like those of flow/affine.inl. They hand the slope by raw parameter i
// to put(i, slope), for every i once and in order; raw(i) is the parameter itself.
//
//   pull_back        Of a loss with the slopes `of_value` by f(x) and `of_log_slope` by log f'(x): its slopes by x
//                    (returned) and by the parameters at fixed x.
//   density_slopes   Of the density log q(y) = log q(x) - log f'(x) of y = f(x), from d = d(log q(x))/dx: that of y
//                    (returned), and the slopes of -log q(y) by the parameters at fixed y (arXiv:2403.15881).

// f(x), or the x that f takes to y; and in both cases log f'(x).
template <class T>
struct Transformed {
  T value, log_slope;
};
