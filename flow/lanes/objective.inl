// Gradients of the Kullback-Leibler divergences. Nothing is kept of a layer: going back, its input and its network's
// activations are computed again from its output, so that no memory grows with the number of layers.
//
// With x the field, the slopes that are carried along are fields as well:
//
//   D = d(log q)/dx                     forward through the layers, from -z on (arXiv:2403.15881)
//   G = d(loss)/dx                      back through the layers
//     = dS/dx, and the loss has -log_det of its own besides        reparameterised
//     = dS/dx + D                                                  path gradient
//
// The divergence from the target, -log q at given fields, has its slopes by the weights on the way of D.

template <class Theory, class Real>
class LanesObjective final : public Objective {
 public:
  LanesObjective(const Theory& theory, const AffineCouplingFlow& architecture)
      : theory_(theory),
        action_slopes_(slopes_of_action(theory)),
        architecture_(architecture),
        tables_(theory.geometry(), architecture, Use::kGradients) {}

  Gradient reverse_kl(Estimator estimator, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                      std::size_t count) const override {
    Walk walk(*this, weights);
    Gradient gradient{{}, std::vector<double>(count)};
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      walk.valid(std::min(kLanes, count - begin));
      walk.draw_noise(key, first + begin);
      if (estimator == Estimator::kReparameterised) {
        walk.forward();
      } else {
        if (estimator == Estimator::kPathTwoPass) walk.there_and_back();
        walk.forward_with_density(/*add_slopes=*/false);
      }
      walk.store_log_w(std::span(gradient.log_w).subspan(begin));
      walk.add_force();
      walk.back(/*of_log_det=*/estimator == Estimator::kReparameterised ? -1.0 : 0.0);
    }
    gradient.sum = walk.slopes();
    return gradient;
  }

  Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const override {
    Walk walk(*this, weights);
    const std::size_t count = fields.size() / tables_.volume;
    Gradient gradient{{}, std::vector<double>(count)};
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      const std::size_t n = std::min(kLanes, count - begin);
      walk.valid(n);
      walk.load(fields.subspan(begin * tables_.volume, n * tables_.volume));
      walk.store_log_w(std::span(gradient.log_w).subspan(begin));
      walk.forward_with_density(/*add_slopes=*/true);
    }
    gradient.sum = walk.slopes();
    return gradient;
  }

 private:
  using V = Lanes<double>;

  // One block after the other through the flow, and what is added up on the way.
  class Walk {
   public:
    Walk(const LanesObjective& own, std::span<const double> weights)
        : own_(own),
          tables_(own.tables_),
          weights_(tables_, own.architecture_, weights),
          flow_(own.theory_, tables_, weights_, own.architecture_.z2()),
          scratch_(flow_.scratch_for_gradients()),
          outer_(scratch_.evaluations.size(), std::vector<Row<Real>>(tables_.volume)),
          field_(tables_.volume),
          slope_(tables_.volume),
          slopes_(weights_) {
      for (auto& buffer : inner_) buffer.resize(weights_.widest() * tables_.volume);
    }

    // Only the first n lanes of the block to come count.
    void valid(std::size_t n) {
      Row<double> numbers;
      for (std::size_t lane = 0; lane < kLanes; ++lane) numbers.lane[lane] = static_cast<double>(lane);
      valid_ = V(numbers) < V(static_cast<double>(n));
      count_ = n;
    }

    void draw_noise(NoiseKey key, std::uint64_t first) {
      flow_.draw_noise(key, Purpose::kTrain, first, field_);
      log_noise_ = flow_.noise_log_density(field_);
    }

    // Given fields, taken back to their noise.
    void load(std::span<const double> fields) {
      flow_.load_fields(fields, field_);
      sums_ = flow_.lattice_sums(field_);
      const V log_det = flow_.inverse(field_, scratch_);
      log_noise_ = flow_.noise_log_density(field_);
      log_q_ = log_noise_ + log_det;
    }

    void forward() {
      log_q_ = log_noise_ - flow_.forward(field_, scratch_);
      sums_ = flow_.lattice_sums(field_);
      for (Row<double>& slope : slope_) V(0.0).store(slope);
    }

    void there_and_back() {
      flow_.forward(field_, scratch_);
      flow_.inverse(field_, scratch_);
    }

    // Noise to field with D beside it; on request adds the slopes of -log q at this field.
    void forward_with_density(bool add_slopes) {
      for (std::size_t x = 0; x < tables_.volume; ++x) (-V(field_[x])).store(slope_[x]);
      V log_det = flow_.apply_prior(field_);
      flow_.apply_inverse_prior(slope_);  // the map is its own transpose
      if (add_slopes) add_slope_by_mass(1.0);
      for (std::size_t layer = 0; layer < weights_.networks.size(); ++layer) {
        log_det = log_det + couple_with_density(layer, add_slopes);
      }
      if (add_slopes) add_slope_by_scale(1.0);
      log_det = log_det + flow_.rescale(field_, weights_.log_scale);
      flow_.rescale(slope_, -weights_.log_scale);
      if (add_slopes) return;
      log_q_ = log_noise_ - log_det;
      sums_ = flow_.lattice_sums(field_);
    }

    // log_p - log_q of the block.
    void store_log_w(std::span<double> log_w) const {
      std::vector<double> sums(Theory::kSums * count_), log_q(count_);
      for (std::size_t k = 0; k < Theory::kSums; ++k) {
        store_lanes(sums_.of[k], std::span(sums).subspan(k * count_, count_));
      }
      store_lanes(log_q_, log_q);
      for (std::size_t i = 0; i < count_; ++i) log_w[i] = log_target(own_.theory_, sums, count_, i) - log_q[i];
    }

    // G += dS/dx, by dual numbers through the theory's local densities.
    FLOWLOOM_FLATTEN void add_force() {
      for (std::size_t x = 0; x < tables_.volume; ++x) {
        const V phi(field_[x]), forward_sum = flow_.forward_sum(field_, x);
        const V here = slope_of_local({phi, V(1.0)}, {forward_sum, V(0.0)});
        const V there = slope_of_local({phi, V(0.0)}, {forward_sum, V(1.0)});
        (V(slope_[x]) + here).store(slope_[x]);
        for (const auto& forward : tables_.forward) {
          Row<double>& neighbour = slope_[forward[x]];
          (V(neighbour) + there).store(neighbour);
        }
      }
    }

    // Back to the prior's field, adding the slopes by the weights. `of_log_det`: the loss's slope by the log_det.
    void back(double of_log_det) {
      add_slope_by_scale(of_log_det);
      flow_.rescale(field_, -weights_.log_scale);
      flow_.rescale(slope_, weights_.log_scale);
      for (std::size_t layer = weights_.networks.size(); layer-- > 0;) uncouple(layer, of_log_det);
      add_slope_by_mass(of_log_det);
    }

    std::vector<double> slopes() const { return slopes_.flat(tables_, own_.architecture_); }

   private:
    FLOWLOOM_FLATTEN V couple_with_density(std::size_t layer, bool add_slopes) {
      const auto& active = tables_.sites[active_parity(layer)];
      const V sum_of_s = flow_.s_and_t(layer, field_, scratch_, [&](std::size_t i, const V& s, const V& t) {
        Row<double>& variable = field_[active[i]];
        Row<double>& density_slope = slope_[active[i]];
        const auto slopes = affine_density_slopes(V(variable), exp(s), V(density_slope));
        affine_forward(V(variable), s, t).store(variable);
        slopes.variable.store(density_slope);
        put_outer(i, slopes.s, slopes.t);
      });
      pull_back(layer, add_slopes, -1.0);
      return sum_of_s;
    }

    FLOWLOOM_FLATTEN void uncouple(std::size_t layer, double of_log_det) {
      const auto& active = tables_.sites[active_parity(layer)];
      flow_.s_and_t(layer, field_, scratch_, [&](std::size_t i, const V& s, const V& t) {
        Row<double>& variable = field_[active[i]];
        Row<double>& slope = slope_[active[i]];
        const V y(variable), e_s = exp(s);
        const auto slopes = affine_pull_back(y, e_s, t, V(slope));
        ((y - t) / e_s).store(variable);
        slopes.variable.store(slope);
        put_outer(i, slopes.s + V(of_log_det), slopes.t);
      });
      pull_back(layer, true, 1.0);
    }

    // Slopes by s and t of active site i, for each evaluation of the network.
    void put_outer(std::size_t i, V s, V t) {
      s = select(valid_, s, V(0.0));
      t = select(valid_, t, V(0.0));
      if (outer_.size() == 2) {  // z2: s and t are the even and the odd part
        s = s * 0.5;
        t = t * 0.5;
        from_double<Real>(s).store(outer_[1][2 * i]);
        from_double<Real>(-t).store(outer_[1][2 * i + 1]);
      }
      from_double<Real>(s).store(outer_[0][2 * i]);
      from_double<Real>(t).store(outer_[0][2 * i + 1]);
    }

    // Through the networks of a layer: adds the slopes by its weights on request, and those by the frozen variables times
    // `factor` to slope_.
    void pull_back(std::size_t layer, bool add_slopes, double factor) {
      const auto& frozen = tables_.sites[1 - active_parity(layer)];
      for (std::size_t e = 0; e < outer_.size(); ++e, factor = -factor) {
        const Row<Real>* slopes = pull_back(layer, add_slopes, scratch_.evaluations[e], outer_[e]);
        for (std::size_t i = 0; i < frozen.size(); ++i) {
          Row<double>& slope = slope_[frozen[i]];
          (V(slope) + to_double(Lanes<Real>(slopes[i])) * factor).store(slope);
        }
      }
    }

    // Through one evaluation: from the slopes by its outputs, which are overwritten, to those by its inputs.
    const Row<Real>* pull_back(std::size_t layer, bool add_slopes, Evaluation<Real>& evaluation,
                               std::vector<Row<Real>>& outer) {
      const auto active = active_parity(layer);
      const auto& network = weights_.networks[layer];
      const auto slopes_of = [&](std::size_t convolution) -> const Row<Real>* {
        return (keeps_argument(network[convolution].activation) ? evaluation.arguments[convolution]
                                                                : evaluation.outputs_of(convolution))
            .data();
      };
      const Row<Real>* last = slopes_of(network.size() - 1);
      (with_slope)(network.back().activation, [&](auto slope) {
        for (std::size_t i = 0; i < 2 * tables_.sites[active].size(); ++i) {
          (Lanes<Real>(outer[i]) * slope(Lanes<Real>(last[i]))).store(outer[i]);
        }
      });
      const Row<Real>* slopes = outer.data();
      for (std::size_t i = network.size(); i-- > 0;) {
        if (add_slopes) {
          const Row<Real>* input = i == 0 ? evaluation.frozen.data() : evaluation.outputs_of(i - 1).data();
          auto& sums = slopes_.networks[layer][i];
          const auto& stencils = tables_.convolutions[active][i];
          for (std::size_t k = 0; k < stencils.size(); ++k) {
            correlate(stencils[k], network[i], input, slopes, sums.weights[k].data(), sums.bias.data());
          }
        }
        const auto& transposed = weights_.transposed[layer][i];
        const auto& stencils = tables_.transposed[active][i];
        const Kept<Real> kept{.slopes_of = i == 0 ? nullptr : slopes_of(i - 1)};
        for (std::size_t k = 0; k < stencils.size(); ++k) {
          convolve(stencils[k], transposed, transposed.weights[k].data(), slopes, inner_[i % 2].data(), kept);
        }
        slopes = inner_[i % 2].data();
      }
      return slopes;
    }

    // By log M^2 where field_ is the prior's, by alpha where it is rescaled or before: both scale, modes or variables, by
    // factors whose logs add up to the log_det.
    void add_slope_by_mass(double of_log_det) {
      if (!weights_.prior) return;
      Field modes = field_, slope_modes = slope_;
      flow_.transform(modes);
      flow_.transform(slope_modes);
      add(slopes_.log_mass2, blocked_sum(tables_.volume, [&](std::size_t k) {
            return (V(slope_modes[k]) * V(modes[k]) + V(of_log_det)) * weights_.prior->log_slope[k];
          }));
    }
    void add_slope_by_scale(double of_log_det) {
      if (!own_.architecture_.rescales()) return;
      add(slopes_.log_scale,
          blocked_sum(tables_.volume, [&](std::size_t x) { return V(slope_[x]) * V(field_[x]) + V(of_log_det); }));
    }
    void add(Row<double>& sum, const V& more) { (V(sum) + select(valid_, more, V(0.0))).store(sum); }

    V slope_of_local(const Dual<V>& phi, const Dual<V>& forward_sum) const {
      const auto densities = LocalDensities<Theory>::at(phi, forward_sum);
      V slope = densities[0].slope * own_.action_slopes_[0];
      for (std::size_t k = 1; k < densities.size(); ++k) slope = slope + densities[k].slope * own_.action_slopes_[k];
      return slope;
    }

    const LanesObjective& own_;
    const Tables& tables_;
    PackedWeights<Real> weights_;
    LanesFlow<Theory, Real> flow_;
    typename LanesFlow<Theory, Real>::Scratch scratch_;
    std::vector<std::vector<Row<Real>>> outer_;    // [evaluation][active site][2]: slopes by s and t
    std::array<std::vector<Row<Real>>, 2> inner_;  // by hidden layers, one is read while the other is written
    Field field_, slope_;                          // x; D or G
    V log_noise_{0.0}, log_q_{0.0};
    Sums<Theory::kSums> sums_;
    Mask<double> valid_;
    std::size_t count_ = 0;
    PackedSlopes<Real> slopes_;
  };

  Theory theory_;
  std::array<double, Theory::kSums> action_slopes_;
  AffineCouplingFlow architecture_;
  Tables tables_;
};
