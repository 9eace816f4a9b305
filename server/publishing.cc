#include "server/publishing.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "spec/error.h"

namespace flowloom {
namespace {

constexpr char kGain[] = "gain";
constexpr char kTrained[] = "trained";

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool met(const Condition& condition, const TrainerState& state, bool finished) {
  if (condition.ess) return state.evaluated_step == state.step && state.ess >= *condition.ess;
  if (condition.step) return state.step == *condition.step;
  return condition.trained && finished;
}

}  // namespace

const Publication* last_published(const std::vector<Publication>& publications) {
  const Publication* last = nullptr;
  for (const Publication& publication : publications) {
    if (publication.refused.empty()) last = &publication;
  }
  return last;
}

double best_gate_ess(const std::vector<Publication>& publications) {
  double best = std::nan("");
  for (const Publication& publication : publications) {
    if (publication.refused.empty()) best = std::fmax(best, publication.gate_ess);  // passes over NaN
  }
  return best;
}

Entries entries_of(const ChainSpec& chain, const Publication& publication) {
  Entries entries;
  if (!publication.refused.empty()) return entries;
  for (std::uint32_t i = 0; i < chain.versions.size(); ++i) {
    if (contains(publication.reasons, chain.versions[i].when.sentence())) entries.insert(i);
  }
  return entries;
}

Entries open_entries(const ChainSpec& chain, const Entries& fulfilled, const std::vector<Publication>& published) {
  Entries open;
  for (std::uint32_t i = 0; i < chain.versions.size(); ++i) {
    if (chain.versions[i].when.file.empty() && !fulfilled.contains(i)) open.insert(i);
  }
  for (const Publication& publication : published) {
    for (const std::uint32_t entry : entries_of(chain, publication)) open.erase(entry);
  }
  return open;
}

std::vector<std::string> reasons_to_publish(const RunSpec& run, const TrainerState& state, bool finished,
                                            const Entries& open, const std::vector<Publication>& published) {
  std::vector<std::string> reasons;
  if (run.chain.asap) {
    if (state.evaluated_step != state.step || (!published.empty() && published.back().step == state.step)) return {};
    const Publication* last = last_published(published);
    const bool gain = !last || state.ess >= run.train.publish_gain * last->ess;
    if (gain && state.ess > 0) reasons.push_back(kGain);
    if (finished) reasons.push_back(kTrained);
    return reasons;
  }
  for (const std::uint32_t entry : open) {
    const Condition& when = run.chain.versions[entry].when;
    if (met(when, state, finished) && !contains(reasons, when.sentence())) reasons.push_back(when.sentence());
  }
  return reasons;
}

void refuse_passed_steps(const ChainSpec& chain, const Entries& open, const TrainerState& state) {
  for (const std::uint32_t entry : open) {
    const Condition& when = chain.versions[entry].when;
    if (!when.step || *when.step >= state.step) continue;
    throw Error(ErrorCode::kConflict, "[chain] versions asks for " + when.sentence() +
                                          ", and the training has passed it (" + std::to_string(state.step) +
                                          " steps are done). Ask for a later step, or remove "
                                          "the training's state to train again from the start.");
  }
}

std::string shortfall(const RunSpec& run, const TrainerState& state, const Entries& open) {
  char ess[32];
  std::snprintf(ess, sizeof ess, "%.3g", state.ess);
  std::string remedy = "raise [train] stop.steps";
  if (state.step < run.train.max_steps) {
    remedy = "raise [train] stop.ess";
  } else if (run.train.decay == LearningRateDecay::kCosine) {
    remedy = "raise [train] stop.steps and remove the training's state (the rate has fallen to zero)";
  }
  return "Training stopped at step " + std::to_string(state.step) + " with ESS " + ess + ", short of '" +
         run.chain.versions[*open.begin()].when.sentence() + "'; " + remedy +
         " or lower the condition, then start again.";
}

}  // namespace flowloom
