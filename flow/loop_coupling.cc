#include "flow/loop_coupling.h"

#include <algorithm>
#include <numeric>

#include "spec/error.h"

namespace flowloom {
namespace {

constexpr std::int64_t kUsualWidth = 4;

// The same loop the other way round.
Loop reversed(Loop loop) {
  std::ranges::reverse(loop);
  for (LoopLink& link : loop) link.sign = -link.sign;
  return loop;
}

// A path as the list of its links: what the formulas of lattice/loops.inl give for variables that are lists of one
// link. Like products of matrices it goes on at its end by a link forwards, at its beginning by one backwards.
struct LinkList {
  Loop links;
};
LinkList operator+(LinkList a, const LinkList& b) {
  a.links.insert(a.links.end(), b.links.begin(), b.links.end());
  return a;
}
LinkList operator-(const LinkList& a, const LinkList& b) { return LinkList{reversed(b.links)} + a; }

struct ReadLinks {
  std::size_t sites;
  LinkList operator()(std::size_t mu, std::size_t x) const {
    return {{{static_cast<std::uint32_t>(mu * sites + x), 1.0}}};
  }
};

// Loops of a lattice as lists.
class Loops {
 public:
  explicit Loops(const Geometry& geometry) : geometry_(geometry), neighbours_(geometry) {}

  Loop rectangle_at(std::size_t x, std::size_t mu, std::size_t a, std::size_t nu, std::size_t b) const {
    return rectangle(Cursor(ReadLinks{geometry_.sites()}, neighbours_.steps(), x), mu, a, nu, b).links;
  }

  // A loop that begins with a link, going along it, and the rectangle of it and of its neighbour across that link, the
  // same way round.
  struct Beginning {
    Loop loop, around;
  };

  // The rectangles with these extents that begin with link (mu, x): forwards and backwards in each plane.
  std::vector<Beginning> beginning_with(std::size_t mu, std::size_t x, const std::vector<std::int64_t>& extents) const {
    std::vector<Beginning> loops;
    const auto a = static_cast<std::size_t>(extents[mu]);
    for (std::size_t nu = 0; nu < geometry_.dimensions(); ++nu) {
      if (nu == mu) continue;
      const auto b = static_cast<std::size_t>(extents[nu]);
      std::size_t below = x;
      for (std::size_t i = 0; i < b; ++i) below = neighbours_.backward()[nu * geometry_.sites() + below];
      const Loop around = rectangle_at(below, mu, a, nu, 2 * b);
      loops.push_back({rectangle_at(x, mu, a, nu, b), around});
      loops.push_back({rectangle_at(below, nu, b, mu, a), reversed(around)});
      for (std::size_t k = loops.size() - 2; k < loops.size(); ++k) {
        Loop& loop = loops[k].loop;
        const auto number = static_cast<std::uint32_t>(mu * geometry_.sites() + x);
        std::ranges::rotate(loop, std::ranges::find(loop, number, &LoopLink::number));
      }
    }
    return loops;
  }

  // The loops of a context at x, but for those around links: of each plane the plaquette, then rectangles of two
  // plaquettes in both orientations.
  std::vector<Loop> context_at(std::size_t x, const LoopContext& context) const {
    std::vector<Loop> loops;
    for (std::size_t mu = 0; mu < geometry_.dimensions(); ++mu) {
      for (std::size_t nu = mu + 1; nu < geometry_.dimensions(); ++nu) {
        if (context.plaquettes) loops.push_back(rectangle_at(x, mu, 1, nu, 1));
        if (!context.rectangles) continue;
        loops.push_back(rectangle_at(x, mu, 2, nu, 1));
        loops.push_back(rectangle_at(x, mu, 1, nu, 2));
      }
    }
    return loops;
  }

 private:
  const Geometry& geometry_;
  Neighbours neighbours_;
};

// How many of a loop's links are active, each as often as the loop goes along it.
std::ptrdiff_t count_active(const Loop& loop, const std::vector<bool>& active) {
  return std::ranges::count_if(loop, [&](const LoopLink& link) { return active[link.number]; });
}

std::string text_of(const LinkMask& mask) {
  const auto list = [](const auto& numbers) { return nlohmann::json(numbers).dump(); };
  return "the mask with directions = " + list(mask.directions) +
         (mask.every.empty() ? ", steps = " + list(mask.steps) + ", width = " + std::to_string(mask.width)
                             : ", at = " + list(mask.at) + ", every = " + list(mask.every));
}

// The masks of the section with all their offsets, in the order of layers; by default, for each direction, lines of
// links in that direction, every fourth (arXiv:2003.06413): as in two dimensions, where they are lines across the other
// one.
std::vector<LinkMask> masks_of(const Section& section, std::size_t dimensions) {
  std::vector<LinkMask> kinds;
  if (section.has("masks")) {
    for (const Section& mask : section.tables("masks")) {
      const auto directions = mask.integers("directions");
      LinkMask& kind = kinds.emplace_back();
      kind.directions.assign(directions.begin(), directions.end());
      if (mask.has("every")) {
        kind.at = mask.integers("at");
        kind.every = mask.integers("every");
      } else {
        kind.steps = mask.integers("steps");
        kind.width = mask.integer("width");
      }
      kind.half_around = mask.has("half_around") && mask.flag("half_around");
      kind.loop = mask.has("loop") ? mask.integers("loop") : std::vector<std::int64_t>(dimensions, 1);
    }
  } else {
    for (std::size_t mu = 0; mu < dimensions; ++mu) {
      LinkMask mask{.directions = {mu}, .steps = std::vector<std::int64_t>(dimensions, 1), .width = kUsualWidth};
      mask.loop = mask.steps;
      mask.steps[mu] = 0;
      kinds.push_back(mask);
    }
  }
  std::vector<LinkMask> masks;
  std::int64_t widest = 0;
  for (const LinkMask& mask : kinds) widest = std::max(widest, mask.width);
  for (std::int64_t offset = 0; offset < widest; ++offset) {
    for (LinkMask mask : kinds) {
      mask.offset = offset;
      if (offset < mask.width) masks.push_back(mask);
    }
  }
  return masks;
}

std::size_t most_directions(const std::vector<LinkMask>& masks) {
  std::size_t most = 1;
  for (const LinkMask& mask : masks) most = std::max(most, mask.directions.size());
  return most;
}

LoopContext context_of(const Section& section) {
  const std::string text = section.text("context");
  return {text.find("1x1") != text.npos, text.find("2x1") != text.npos, text.find("around") != text.npos};
}

NetworkShape network_of(const Section& section, std::size_t dimensions, std::size_t loop_channels,
                        std::size_t link_parameters) {
  const LoopContext context = context_of(section);
  const std::size_t directions = most_directions(masks_of(section, dimensions));
  const std::size_t in_a_plane = (context.plaquettes ? 1 : 0) + (context.rectangles ? 2 : 0);
  const std::size_t loops = dimensions * (dimensions - 1) / 2 * in_a_plane + (context.around ? directions : 0);
  return NetworkShape(section, static_cast<std::int64_t>(loop_channels * loops),
                      static_cast<std::int64_t>(link_parameters * directions), Activation::kIdentity);
}

// Refuses masks that are none in so many dimensions.
void check_masks(const RunSpec& run, const Geometry& geometry) {
  const auto refuse = [&](const std::string& key, const std::string& what) {
    throw Error(ErrorCode::kInvalidInput, run.flow.where(key) + ": " + what);
  };
  const auto dimensions = static_cast<std::int64_t>(geometry.dimensions());
  if (run.flow.has("masks")) {
    for (const Section& mask : run.flow.tables("masks")) {
      std::vector<std::int64_t> directions = mask.integers("directions");
      std::ranges::sort(directions);
      if (std::ranges::adjacent_find(directions) != directions.end() || directions.back() >= dimensions) {
        refuse("masks", "directions = " + nlohmann::json(directions).dump() + " must be different ones of 0 to " +
                            std::to_string(dimensions - 1) + ".");
      }
      if ((mask.has("steps") && mask.has("width")) == (mask.has("at") && mask.has("every"))) {
        refuse("masks", "a mask needs either steps and width, or at and every.");
      }
      for (const char* key : {"steps", "at", "every", "loop"}) {
        if (!mask.has(key) || static_cast<std::int64_t>(mask.integers(key).size()) == dimensions) continue;
        refuse("masks", std::string(key) + " = " + nlohmann::json(mask.integers(key)).dump() +
                            " must have one number for each of the " + std::to_string(dimensions) + " directions.");
      }
    }
  }
}

}  // namespace

std::vector<Key> loop_coupling_keys(std::vector<Key> own, const std::vector<Key>& of_masks) {
  std::vector<Key> keys = {
      {.name = "layers",
       .type = KeyType::kInteger,
       .sentence = "Coupling layers; with the usual masks in two dimensions, eight change every link once.",
       .default_value = 16,
       .min = 1,
       .max = 1024},
  };
  std::ranges::move(own, std::back_inserter(keys));
  std::vector<Key> common = {
      {.name = "context",
       .type = KeyType::kText,
       .sentence = "What networks see of the links that do not change: plaquettes (1x1), rectangles of two plaquettes "
                   "(2x1), and for each link that changes the rectangle of its active loop and of the one across it "
                   "(around).",
       .default_value = "1x1+2x1",
       .choices = {"1x1", "1x1+2x1", "around", "1x1+around", "1x1+2x1+around"}},
      {.name = "masks",
       .type = KeyType::kTables,
       .sentence =
           "Which links change together; left out: for each direction, lines of its links, every fourth, on lattices "
           "whose extents are multiples of 4.",
       .keys =
           {{.name = "directions",
             .type = KeyType::kIntegers,
             .sentence = "Links in these directions.",
             .required = true,
             .min = 0,
             .max = 5,
             .min_size = 1,
             .max_size = 6},
            {.name = "steps",
             .type = KeyType::kIntegers,
             .sentence =
                 "A link at x changes if the sum of steps times coordinates is a multiple of the width, and then with "
                 "each offset in turn; a number for each direction.",
             .min = -64,
             .max = 64,
             .min_size = 1,
             .max_size = 6},
            {.name = "width",
             .type = KeyType::kInteger,
             .sentence = "So many layers change every link of these directions once.",
             .min = 1,
             .max = 64},
            {.name = "at",
             .type = KeyType::kIntegers,
             .sentence = "Instead of steps and width, for one layer: a link at x changes if each coordinate is "
                         "this modulo the number in `every`.",
             .min = 0,
             .max = 4095,
             .min_size = 1,
             .max_size = 6},
            {.name = "every",
             .type = KeyType::kIntegers,
             .sentence = "Divides the extents.",
             .min = 1,
             .max = 4096,
             .min_size = 1,
             .max_size = 6},
            {.name = "loop",
             .type = KeyType::kIntegers,
             .sentence = "Extents of the active loop, a rectangle that begins with the link; all 1 if left out: a "
                         "plaquette.",
             .min = 1,
             .max = 4096,
             .min_size = 1,
             .max_size = 6}},
       .min_size = 1,
       .max_size = 16},
  };
  std::ranges::copy(of_masks, std::back_inserter(common.back().keys));
  std::ranges::copy(common, std::back_inserter(keys));
  std::ranges::copy(network_keys(), std::back_inserter(keys));
  return keys;
}

void check_loop_section(const RunSpec& run) {
  const AnyTheory theory = make_theory(run.theory);
  check_masks(run, theory_geometry(theory));
  check_network(run.flow, theory_geometry(theory));
}

void check_loop_flow(const RunSpec& run, const LoopCouplingFlow& flow) {
  refuse_too_many_weights(flow, run.flow);
  const AnyTheory theory = make_theory(run.theory);
  const Geometry& geometry = theory_geometry(theory);
  const auto fits = [](std::int64_t extent) { return extent % kUsualWidth == 0; };
  if (!run.flow.has("masks") && !std::ranges::all_of(geometry.extents(), fits)) {
    throw Error(ErrorCode::kInvalidInput,
                run.theory.where("lattice") + " = " + nlohmann::json(geometry.extents()).dump() +
                    ": the usual masks, lines of links, every fourth, need extents that are multiples of 4; take such "
                    "a lattice, or give [flow] masks.");
  }
  try {
    flow.couplings(geometry);
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidInput,
                run.flow.where(run.flow.has("masks") ? "masks" : "kind") + ": " + error.what());
  }
}

bool LinkMask::active(std::size_t mu, std::span<const std::int64_t> x) const {
  if (std::ranges::find(directions, mu) == directions.end()) return false;
  for (std::size_t nu = 0; nu < every.size(); ++nu) {
    if ((x[nu] - at[nu]) % every[nu] != 0) return false;
  }
  if (!every.empty()) return true;
  return (std::inner_product(x.begin(), x.end(), steps.begin(), offset)) % width == 0;
}

std::vector<CouplingSites> sites_of(const std::vector<LoopCoupling>& couplings) {
  std::vector<CouplingSites> sites;
  for (const LoopCoupling& coupling : couplings) sites.push_back(coupling.sites);
  return sites;
}

LoopCouplingFlow::LoopCouplingFlow(const Section& section, std::size_t dimensions, std::size_t loop_channels,
                                   std::size_t link_parameters)
    : Architecture(section.size("layers"), dimensions, network_of(section, dimensions, loop_channels, link_parameters)),
      masks_(masks_of(section, dimensions)),
      context_(context_of(section)),
      loop_channels_(loop_channels),
      link_parameters_(link_parameters) {
  add_networks(section.real("init_scale"));
}

std::vector<LoopCoupling> LoopCouplingFlow::couplings(const Geometry& geometry) const {
  const std::size_t sites = geometry.sites(), choices = 2 * (dimensions() - 1);
  const Loops loops(geometry);
  std::vector<std::vector<LoopCoupling>> found(choices);  // [round][mask]
  for (const LinkMask& mask : masks_) {
    for (std::size_t nu = 0; nu < dimensions(); ++nu) {
      const bool by_steps = mask.every.empty();
      const std::int64_t step = by_steps ? mask.steps[nu] : 1, period = by_steps ? mask.width : mask.every[nu];
      if (geometry.extents()[nu] * step % period == 0) continue;
      throw Error(ErrorCode::kInvalidInput, text_of(mask) + " does not close around the lattice in direction " +
                                                std::to_string(nu) + ", whose extent is " +
                                                std::to_string(geometry.extents()[nu]) + "; " +
                                                (by_steps ? "extent times step must be a multiple of the width."
                                                          : "the extent must be a multiple of `every`."));
    }
    std::vector<bool> active(dimensions() * sites);
    for (std::size_t mu = 0; mu < dimensions(); ++mu) {
      for (std::size_t x = 0; x < sites; ++x) active[mu * sites + x] = mask.active(mu, geometry.coordinates(x));
    }
    const auto frozen_or_empty = [&](Loop loop) { return count_active(loop, active) > 0 ? Loop() : std::move(loop); };
    std::vector<std::vector<Loop>> context(sites);  // of every site
    for (std::size_t x = 0; x < sites; ++x) {
      for (Loop& loop : loops.context_at(x, context_)) context[x].push_back(frozen_or_empty(std::move(loop)));
      if (context_.around) context[x].resize(context[x].size() + most_directions(masks_));
    }
    std::vector<std::vector<std::vector<Loop>>> contexts(choices, context);  // [round]
    std::vector<std::vector<LoopCoupling::Active>> links(choices);
    std::vector<std::uint32_t> outputs;
    for (std::size_t x = 0; x < sites; ++x) {
      for (std::size_t slot = 0; slot < mask.directions.size(); ++slot) {
        const std::size_t mu = mask.directions[slot];
        const auto number = static_cast<std::uint32_t>(mu * sites + x);
        if (!active[number]) continue;
        if (outputs.empty() || outputs.back() != x) outputs.push_back(static_cast<std::uint32_t>(x));
        std::vector<Loops::Beginning> own = loops.beginning_with(mu, x, mask.loop);
        std::erase_if(own, [&](const auto& candidate) { return count_active(candidate.loop, active) != 1; });
        if (own.empty()) {
          throw Error(ErrorCode::kInvalidInput,
                      text_of(mask) +
                          " has links without an active loop that contains no other link of the mask; take "
                          "fewer links at once.");
        }
        for (std::size_t round = 0; round < choices; ++round) {
          const auto& [loop, around] = own[round % own.size()];
          Loop seen = frozen_or_empty(around);
          links[round].push_back({number, Loop(loop.begin() + 1, loop.end()), mask.half_around ? seen : Loop(),
                                  static_cast<std::uint32_t>(outputs.size() - 1),
                                  static_cast<std::uint32_t>(slot * link_parameters_)});
          if (!context_.around) continue;
          contexts[round][x][context[x].size() - most_directions(masks_) + slot] = std::move(seen);
        }
      }
    }
    if (outputs.empty()) throw Error(ErrorCode::kInvalidInput, text_of(mask) + " has no link on this lattice.");
    for (std::size_t round = 0; round < choices; ++round) {
      LoopCoupling& own = found[round].emplace_back();
      own.active = std::move(links[round]);
      own.sites.outputs = outputs;
      for (std::size_t x = 0; x < sites; ++x) {
        std::vector<Loop>& seen = contexts[round][x];
        own.sites.groups = seen.size();
        for (std::size_t k = 0; k < seen.size(); ++k) {
          if (seen[k].empty()) continue;
          own.sites.inputs.push_back(static_cast<std::uint32_t>(x * seen.size() + k));
          own.context.push_back(std::move(seen[k]));
        }
      }
    }
  }
  std::vector<LoopCoupling> all;
  for (auto& round : found) std::ranges::move(round, std::back_inserter(all));
  return all;
}

}  // namespace flowloom
