// The models that a worker has loaded, by the SHA-256 of their checkpoints: they outlive a connection, so
// nothing is fetched twice. Bounded: the one that was used longest ago goes first.
//
// One owner, no locks.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "flow/checkpoint.h"
#include "spec/sha256.h"

namespace flowloom {

class ModelShelf {
 public:
  explicit ModelShelf(std::size_t capacity = 16) : capacity_(capacity) {}

  // A model belongs to a run's theory: another run's are thrown away.
  void serve(const Sha256& identity);
  const std::optional<Sha256>& served() const { return identity_; }

  // Null if it is not here.
  std::shared_ptr<const Model> find(const Sha256& checkpoint);
  void put(const Sha256& checkpoint, std::shared_ptr<const Model> model);

 private:
  struct Entry {
    Sha256 checkpoint;
    std::shared_ptr<const Model> model;
  };
  std::size_t capacity_;
  std::optional<Sha256> identity_;
  std::list<Entry> entries_;  // the latest used first
};

}  // namespace flowloom
