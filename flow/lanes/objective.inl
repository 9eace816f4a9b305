// Gradients of the Kullback-Leibler divergences. Nothing is kept of a layer but, by some flows, the variables that it
// changes: going back, these are restored or computed again from its output, and its network's activations always are.
//
// With x the field, the slopes that are carried along are fields as well:
//
//   D = d(log q)/dx                     forward through the layers, from the noise's own on (arXiv:2403.15881)
//   G = d(loss)/dx                      back through the layers
//     = dS/dx, and the loss has -log_det of its own besides        reparameterised
//     = dS/dx + D                                                  path gradient
//
// The divergence from the target, -log q at given fields, has its slopes by the weights on the way of D.
//
// A flow's Gradients adds up the slopes by its weights:
//
//   forward(blocks, log_det)                            noise to field; log_det of each block's map
//   forward_with_density(blocks, log_det, add_slopes)   the same with D beside the field, from the noise's own; on
//                                                       request adds the slopes of -log q at this field
//   back(blocks, of_log_det)                            field to noise with G beside it, adding slopes; `of_log_det`:
//                                                       the loss's slope by the log_det
//   take()                                              what has been added up, in the order of the flat array; leaves
//                                                       zeros

// kLanes samples on their way; only the first `count` are wanted. (Rows, not lanes: GCC 12 does not align lanes on the
// heap.)
template <std::size_t kSums>
struct Block {
  explicit Block(std::size_t variables) : field(variables), slope(variables) {}

  Field field, slope;  // x; D or G
  Row<double> log_noise, log_q;
  std::array<Row<double>, kSums> sums;
  std::size_t count = kLanes;

  Mask<double> valid() const {
    Row<double> numbers;
    for (std::size_t lane = 0; lane < kLanes; ++lane) numbers.lane[lane] = static_cast<double>(lane);
    return Lanes<double>(numbers) < Lanes<double>(static_cast<double>(count));
  }
};

template <class Flow, class Architecture>
class LanesObjective final : public Objective {
 public:
  using Theory = std::remove_cvref_t<decltype(std::declval<Flow>().theory())>;

  LanesObjective(const Theory& theory, const Architecture& architecture)
      : theory_(theory), architecture_(architecture), variables_(variables_of(theory)) {}

  Gradient reverse_kl(Estimator estimator, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                      std::size_t count) const override {
    const bool path = estimator != Estimator::kReparameterised;
    return in_batches(weights, count, [&](Walk& walk, std::span<OwnBlock> blocks, std::size_t begin) {
      for (OwnBlock& block : blocks) {
        walk.draw_noise(block, key, first + begin);
        begin += kLanes;
        if (estimator == Estimator::kPathTwoPass) walk.there_and_back(block);
      }
      path ? walk.forward_with_density(blocks) : walk.forward(blocks);
      for (OwnBlock& block : blocks) walk.add_force(block);
      walk.back(blocks, /*of_log_det=*/path ? 0.0 : -1.0);
    });
  }

  Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const override {
    return in_batches(weights, fields.size() / variables_,
                      [&](Walk& walk, std::span<OwnBlock> blocks, std::size_t begin) {
                        for (OwnBlock& block : blocks) {
                          walk.load(block, fields.subspan(begin * variables_, block.count * variables_));
                          begin += kLanes;
                        }
                        walk.add_slopes_of_density(blocks);
                      });
  }

 private:
  using V = Lanes<double>;
  using OwnBlock = Block<Theory::kSums>;

  // Blocks that go through a layer one after the other, while the sums of its slopes are in the cache.
  static constexpr std::size_t kBlocks = 4;

  // Blocks through the flow, and what is added up on the way.
  class Walk {
   public:
    Walk(const LanesObjective& own, std::span<const double> weights)
        : given_(weights.begin(), weights.end()),
          flow_(own.theory_, own.architecture_, weights, Use::kGradients),
          theory_(own.theory_),
          scratch_(flow_.scratch(Use::kGradients)),
          gradients_(flow_),
          blocks_(kBlocks, OwnBlock(own.variables_)) {}

    void use(std::span<const double> weights) {
      const auto same = [](double a, double b) { return flowloom::bits(a) == flowloom::bits(b); };
      if (std::ranges::equal(weights, given_, same)) return;
      flow_.set_weights(weights);
      given_.assign(weights.begin(), weights.end());
    }

    // Blocks for the next of `left` samples.
    std::span<OwnBlock> blocks(std::size_t left) {
      std::size_t used = 0;
      for (; used < kBlocks && left > 0; ++used) left -= blocks_[used].count = std::min(kLanes, left);
      return std::span(blocks_).first(used);
    }

    // The noise at these addresses.
    void draw_noise(OwnBlock& block, NoiseKey key, std::uint64_t first) const {
      flow_.draw_noise(key, Purpose::kTrain, first, block.field, block.count);
      flow_.noise_log_density(block.field).store(block.log_noise);
    }

    // Given fields, taken back to their noise.
    void load(OwnBlock& block, std::span<const double> fields) {
      load_fields(fields, block.field);
      store_sums(block);
      const V log_det = flow_.inverse(block.field, scratch_);
      (flow_.noise_log_density(block.field) + log_det).store(block.log_q);
    }

    // Noise to field, without D.
    void forward(std::span<OwnBlock> blocks) {
      gradients_.forward(blocks, std::span(log_det_));
      for (OwnBlock& block : blocks) {
        for (Row<double>& slope : block.slope) V(0.0).store(slope);
      }
      store_densities(blocks);
    }

    void there_and_back(OwnBlock& block) {
      flow_.forward(block.field, scratch_);
      flow_.inverse(block.field, scratch_);
    }

    // Noise to field with D beside it.
    void forward_with_density(std::span<OwnBlock> blocks) {
      gradients_.forward_with_density(blocks, std::span(log_det_), /*add_slopes=*/false);
      store_densities(blocks);
    }

    // Slopes of -log q at the fields that were loaded.
    void add_slopes_of_density(std::span<OwnBlock> blocks) {
      gradients_.forward_with_density(blocks, std::span(log_det_), /*add_slopes=*/true);
    }

    // G += dS/dx.
    void add_force(OwnBlock& block) const { theory_.add_force(block.field, block.slope); }

    void back(std::span<OwnBlock> blocks, double of_log_det) { gradients_.back(blocks, of_log_det); }

    // log_p - log_q of a block.
    void store_log_w(const OwnBlock& block, std::span<double> log_w) const {
      std::vector<double> sums(Theory::kSums * block.count), log_q(block.count);
      for (std::size_t k = 0; k < Theory::kSums; ++k) {
        store_lanes(V(block.sums[k]), std::span(sums).subspan(k * block.count, block.count));
      }
      store_lanes(V(block.log_q), log_q);
      for (std::size_t i = 0; i < block.count; ++i) {
        log_w[i] = log_target(flow_.theory(), sums, block.count, i) - log_q[i];
      }
    }

    // What has been added up; the next starts from zero.
    std::vector<double> take_slopes() { return gradients_.take(); }

   private:
    void store_densities(std::span<OwnBlock> blocks) const {
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        (V(blocks[b].log_noise) - V(log_det_[b])).store(blocks[b].log_q);
        store_sums(blocks[b]);
      }
    }
    void store_sums(OwnBlock& block) const {
      const auto sums = theory_.sums(block.field);
      for (std::size_t k = 0; k < Theory::kSums; ++k) sums.of[k].store(block.sums[k]);
    }

    std::vector<double> given_;
    Flow flow_;
    TheoryWalk<Theory> theory_;
    typename Flow::Scratch scratch_;
    typename Flow::Gradients gradients_;  // refers to the flow
    std::vector<OwnBlock> blocks_;
    std::array<Row<double>, kBlocks> log_det_;
  };

  // Calls work(walk, blocks, number of their first sample) for all samples.
  template <class Work>
  Gradient in_batches(std::span<const double> weights, std::size_t count, Work work) const {
    std::unique_ptr<Walk> walk = take_walk(weights);
    Gradient gradient{{}, std::vector<double>(count)};
    for (std::size_t begin = 0; begin < count;) {
      const std::span<OwnBlock> blocks = walk->blocks(count - begin);
      work(*walk, blocks, begin);
      for (const OwnBlock& block : blocks) {
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
  Architecture architecture_;
  std::size_t variables_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Walk>> idle_;
};
