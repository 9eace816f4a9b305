#include "worker/model_shelf.h"

#include <algorithm>

#include "lattice/theories.h"

namespace flowloom {

void ModelShelf::serve(const Sha256& identity) {
  if (identity != identity_) entries_.clear();
  identity_ = identity;
}

std::shared_ptr<const Model> ModelShelf::find(const Sha256& checkpoint) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.checkpoint == checkpoint; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return entries_.front().model;
}

void ModelShelf::put(const Sha256& checkpoint, std::shared_ptr<const Model> model) {
  if (find(checkpoint)) return;
  entries_.push_front({checkpoint, std::move(model)});
  if (entries_.size() > capacity_) entries_.pop_back();
}

std::shared_ptr<const Model> load_model(const std::string& bytes, const std::string& name, const RunSpec& run,
                                        const Engine& engine, const std::function<void()>& verified) {
  const Checkpoint checkpoint = Checkpoint::parse(bytes, name);
  refuse_unfit(checkpoint, run, name);
  verify_references(checkpoint, engine, name);
  verified();
  return make_model(checkpoint, make_theory(run.theory), engine);
}

}  // namespace flowloom
