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
    const bool path = estimator != Estimator::kReparameterised;
    return in_groups(weights, count, [&](Walk& walk, std::span<Block> blocks, std::size_t begin) {
      for (Block& block : blocks) {
        walk.draw_noise(block, key, first + begin);
        begin += kLanes;
        if (!path) walk.forward(block);
        if (estimator == Estimator::kPathTwoPass) walk.there_and_back(block);
      }
      if (path) walk.forward_with_density(blocks, /*add_slopes=*/false);
      for (Block& block : blocks) walk.add_force(block);
      walk.back(blocks, /*of_log_det=*/path ? 0.0 : -1.0);
    });
  }

  Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const override {
    const std::size_t volume = tables_.volume;
    return in_groups(weights, fields.size() / volume, [&](Walk& walk, std::span<Block> blocks, std::size_t begin) {
      for (Block& block : blocks) {
        walk.load(block, fields.subspan(begin * volume, block.count * volume));
        begin += kLanes;
      }
      walk.forward_with_density(blocks, /*add_slopes=*/true);
    });
  }

 private:
  using V = Lanes<double>;
  using Flow = LanesFlow<Theory, Real>;

  // Blocks that go through a layer one after the other, while the sums of its slopes are in the cache.
  static constexpr std::size_t kBlocks = 4;

  // kLanes samples on their way; only the first `count` are wanted. (Rows, not lanes: GCC 12 does not align lanes on the heap.)
  struct Block {
    explicit Block(std::size_t volume) : field(volume), slope(volume) {}

    Field field, slope;  // x; D or G
    Row<double> log_noise, log_q;
    std::array<Row<double>, Theory::kSums> sums;
    std::size_t count = kLanes;

    Mask<double> valid() const {
      Row<double> numbers;
      for (std::size_t lane = 0; lane < kLanes; ++lane) numbers.lane[lane] = static_cast<double>(lane);
      return V(numbers) < V(static_cast<double>(count));
    }
  };

  // Blocks through the flow, and what is added up on the way.
  class Walk {
   public:
    Walk(const LanesObjective& own, std::span<const double> weights)
        : own_(own),
          tables_(own.tables_),
          given_(weights.begin(), weights.end()),
          weights_(tables_, own.architecture_, weights),
          flow_(own.theory_, tables_, weights_, own.architecture_.z2()),
          scratch_(flow_.scratch_for_gradients()),
          outer_(scratch_.evaluations.size(), std::vector<Row<Real>>(tables_.volume)),
          blocks_(kBlocks, Block(tables_.volume)),
          slopes_(weights_) {
      for (auto& buffer : inner_) buffer.resize(weights_.widest() * tables_.volume);
    }

    void use(std::span<const double> weights) {
      const auto same = [](double a, double b) { return flowloom::bits(a) == flowloom::bits(b); };
      if (std::ranges::equal(weights, given_, same)) return;
      weights_ = PackedWeights<Real>(tables_, own_.architecture_, weights);
      given_.assign(weights.begin(), weights.end());
    }

    // Blocks for the next of `left` samples.
    std::span<Block> blocks(std::size_t left) {
      std::size_t used = 0;
      for (; used < kBlocks && left > 0; ++used) left -= blocks_[used].count = std::min(kLanes, left);
      return std::span(blocks_).first(used);
    }

    // The noise at these addresses.
    void draw_noise(Block& block, NoiseKey key, std::uint64_t first) const {
      flow_.draw_noise(key, Purpose::kTrain, first, block.field, block.count);
      flow_.noise_log_density(block.field).store(block.log_noise);
    }

    // Given fields, taken back to their noise.
    void load(Block& block, std::span<const double> fields) {
      flow_.load_fields(fields, block.field);
      store_sums(block);
      const V log_det = flow_.inverse(block.field, scratch_);
      (flow_.noise_log_density(block.field) + log_det).store(block.log_q);
    }

    // Noise to field, without D.
    void forward(Block& block) {
      (V(block.log_noise) - flow_.forward(block.field, scratch_)).store(block.log_q);
      store_sums(block);
      for (Row<double>& slope : block.slope) V(0.0).store(slope);
    }

    void there_and_back(Block& block) {
      flow_.forward(block.field, scratch_);
      flow_.inverse(block.field, scratch_);
    }

    // Noise to field with D beside it; on request adds the slopes of -log q at this field.
    void forward_with_density(std::span<Block> blocks, bool add_slopes) {
      V log_det[kBlocks];
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        Block& block = blocks[b];
        for (std::size_t x = 0; x < tables_.volume; ++x) (-V(block.field[x])).store(block.slope[x]);
        log_det[b] = flow_.apply_prior(block.field);
        flow_.apply_inverse_prior(block.slope);  // the map is its own transpose
        if (add_slopes) add_slope_by_mass(block, 1.0);
      }
      for (std::size_t layer = 0; layer < weights_.networks.size(); ++layer) {
        for (std::size_t b = 0; b < blocks.size(); ++b) {
          log_det[b] = log_det[b] + couple_with_density(layer, blocks[b], add_slopes);
        }
      }
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        Block& block = blocks[b];
        if (add_slopes) add_slope_by_scale(block, 1.0);
        log_det[b] = log_det[b] + flow_.rescale(block.field, weights_.log_scale);
        flow_.rescale(block.slope, -weights_.log_scale);
        if (add_slopes) continue;  // of given fields these are known
        (V(block.log_noise) - log_det[b]).store(block.log_q);
        store_sums(block);
      }
    }

    // G += dS/dx, by dual numbers through the theory's local densities.
    FLOWLOOM_FLATTEN void add_force(Block& block) const {
      for (std::size_t x = 0; x < tables_.volume; ++x) {
        const V phi(block.field[x]), forward_sum = flow_.forward_sum(block.field, x);
        const V here = slope_of_local({phi, V(1.0)}, {forward_sum, V(0.0)});
        const V there = slope_of_local({phi, V(0.0)}, {forward_sum, V(1.0)});
        (V(block.slope[x]) + here).store(block.slope[x]);
        for (const auto& forward : tables_.forward) {
          Row<double>& neighbour = block.slope[forward[x]];
          (V(neighbour) + there).store(neighbour);
        }
      }
    }

    // Back to the prior's field, adding the slopes by the weights. `of_log_det`: the loss's slope by the log_det.
    void back(std::span<Block> blocks, double of_log_det) {
      for (Block& block : blocks) {
        add_slope_by_scale(block, of_log_det);
        flow_.rescale(block.field, -weights_.log_scale);
        flow_.rescale(block.slope, weights_.log_scale);
      }
      for (std::size_t layer = weights_.networks.size(); layer-- > 0;) {
        for (Block& block : blocks) uncouple(layer, block, of_log_det);
      }
      for (Block& block : blocks) add_slope_by_mass(block, of_log_det);
    }

    // log_p - log_q of a block.
    void store_log_w(const Block& block, std::span<double> log_w) const {
      std::vector<double> sums(Theory::kSums * block.count), log_q(block.count);
      for (std::size_t k = 0; k < Theory::kSums; ++k) {
        store_lanes(V(block.sums[k]), std::span(sums).subspan(k * block.count, block.count));
      }
      store_lanes(V(block.log_q), log_q);
      for (std::size_t i = 0; i < block.count; ++i) {
        log_w[i] = log_target(own_.theory_, sums, block.count, i) - log_q[i];
      }
    }

    // What has been added up; the next starts from zero.
    std::vector<double> take_slopes() { return slopes_.take(tables_, own_.architecture_); }

   private:
    void store_sums(Block& block) const {
      const auto sums = flow_.lattice_sums(block.field);
      for (std::size_t k = 0; k < Theory::kSums; ++k) sums.of[k].store(block.sums[k]);
    }

    FLOWLOOM_FLATTEN V couple_with_density(std::size_t layer, Block& block, bool add_slopes) {
      const auto& active = tables_.sites[active_parity(layer)];
      const Mask<double> valid = block.valid();
      const V sum_of_s = flow_.s_and_t(layer, block.field, scratch_, [&](std::size_t i, const V& s, const V& t) {
        Row<double>& variable = block.field[active[i]];
        Row<double>& density_slope = block.slope[active[i]];
        const auto slopes = affine_density_slopes(V(variable), exp(s), V(density_slope));
        affine_forward(V(variable), s, t).store(variable);
        slopes.variable.store(density_slope);
        put_outer(i, valid, slopes.s, slopes.t);
      });
      pull_back(layer, block, add_slopes, -1.0);
      return sum_of_s;
    }

    FLOWLOOM_FLATTEN void uncouple(std::size_t layer, Block& block, double of_log_det) {
      const auto& active = tables_.sites[active_parity(layer)];
      const Mask<double> valid = block.valid();
      flow_.s_and_t(layer, block.field, scratch_, [&](std::size_t i, const V& s, const V& t) {
        Row<double>& variable = block.field[active[i]];
        Row<double>& slope = block.slope[active[i]];
        const V y(variable), e_s = exp(s);
        const auto slopes = affine_pull_back(y, e_s, t, V(slope));
        ((y - t) / e_s).store(variable);
        slopes.variable.store(slope);
        put_outer(i, valid, slopes.s + V(of_log_det), slopes.t);
      });
      pull_back(layer, block, true, 1.0);
    }

    // Slopes by s and t of active site i, for each evaluation of the network.
    void put_outer(std::size_t i, const Mask<double>& valid, V s, V t) {
      s = select(valid, s, V(0.0));
      t = select(valid, t, V(0.0));
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
    // `factor` to the block's.
    void pull_back(std::size_t layer, Block& block, bool add_slopes, double factor) {
      const auto& frozen = tables_.sites[1 - active_parity(layer)];
      for (std::size_t e = 0; e < outer_.size(); ++e, factor = -factor) {
        const Row<Real>* slopes = pull_back_network(layer, add_slopes, scratch_.evaluations[e], outer_[e]);
        for (std::size_t i = 0; i < frozen.size(); ++i) {
          Row<double>& slope = block.slope[frozen[i]];
          (V(slope) + to_double(Lanes<Real>(slopes[i])) * factor).store(slope);
        }
      }
    }

    // From the slopes by the outputs of one evaluation, which are overwritten, to those by its inputs.
    const Row<Real>* pull_back_network(std::size_t layer, bool add_slopes, Evaluation<Real>& evaluation,
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

    // By log M^2 where the field is the prior's, by alpha where it is rescaled or just before: both multiply, modes or
    // variables, by factors whose logs add up to the log_det.
    void add_slope_by_mass(const Block& block, double of_log_det) {
      if (!weights_.prior) return;
      Field modes = block.field, slopes = block.slope;
      flow_.transform(modes);
      flow_.transform(slopes);
      add(slopes_.log_mass2, block.valid(), blocked_sum(tables_.volume, [&](std::size_t k) {
            return (V(slopes[k]) * V(modes[k]) + V(of_log_det)) * weights_.prior->log_slope[k];
          }));
    }
    void add_slope_by_scale(const Block& block, double of_log_det) {
      if (!own_.architecture_.rescales()) return;
      add(slopes_.log_scale, block.valid(), blocked_sum(tables_.volume, [&](std::size_t x) {
            return V(block.slope[x]) * V(block.field[x]) + V(of_log_det);
          }));
    }
    static void add(Row<double>& sum, const Mask<double>& valid, const V& more) {
      (V(sum) + select(valid, more, V(0.0))).store(sum);
    }

    V slope_of_local(const Dual<V>& phi, const Dual<V>& forward_sum) const {
      const auto densities = LocalDensities<Theory>::at(phi, forward_sum);
      V slope = densities[0].slope * own_.action_slopes_[0];
      for (std::size_t k = 1; k < densities.size(); ++k) slope = slope + densities[k].slope * own_.action_slopes_[k];
      return slope;
    }

    const LanesObjective& own_;
    const Tables& tables_;
    std::vector<double> given_;
    PackedWeights<Real> weights_;
    Flow flow_;  // refers to the weights
    typename Flow::Scratch scratch_;
    std::vector<std::vector<Row<Real>>> outer_;    // [evaluation][active site][2]: slopes by s and t
    std::array<std::vector<Row<Real>>, 2> inner_;  // by hidden layers, one is read while the other is written
    std::vector<Block> blocks_;
    PackedSlopes<Real> slopes_;
  };

  // Calls work(walk, blocks, number of their first sample) for all samples.
  template <class Work>
  Gradient in_groups(std::span<const double> weights, std::size_t count, Work work) const {
    std::unique_ptr<Walk> walk = take_walk(weights);
    Gradient gradient{{}, std::vector<double>(count)};
    for (std::size_t begin = 0; begin < count;) {
      const std::span<Block> blocks = walk->blocks(count - begin);
      work(*walk, blocks, begin);
      for (const Block& block : blocks) {
        walk->store_log_w(block, std::span(gradient.log_w).subspan(begin, block.count));
        begin += block.count;
      }
    }
    gradient.sum = walk->take_slopes();
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(walk));
    return gradient;
  }

  // One that an earlier call has left, or a new one: their memory is large.
  std::unique_ptr<Walk> take_walk(std::span<const double> weights) const {
    std::unique_ptr<Walk> walk;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        walk = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (!walk) return std::make_unique<Walk>(*this, weights);
    walk->use(weights);
    return walk;
  }

  Theory theory_;
  std::array<double, Theory::kSums> action_slopes_;
  AffineCouplingFlow architecture_;
  Tables tables_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Walk>> idle_;
};
