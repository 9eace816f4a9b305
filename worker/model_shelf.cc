#include "worker/model_shelf.h"

#include <algorithm>

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

}  // namespace flowloom
