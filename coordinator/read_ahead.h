// What the disk holds and a stream sends: read on the store's thread, a little ahead of the stream.
//
// All is called on the brain's thread, but for the functions that read.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/brain.h"

namespace flowloom {

template <class Item>
class ReadAhead : public std::enable_shared_from_this<ReadAhead<Item>> {
 public:
  // `read` gives the next items, and knows how far it came.
  using Read = std::function<std::vector<Item>(Store&)>;
  ReadAhead(Brain& brain, Read read) : brain_(brain), read_(std::move(read)) {}

  // Nothing while none is here; subscribers are poked when one is. Throws what reading threw.
  std::optional<Item> next() {
    if (error_) std::rethrow_exception(error_);
    if (items_.empty()) {
      if (!std::exchange(reading_, true)) read();
      return {};
    }
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

 private:
  void read() {
    brain_.on_store([self = this->shared_from_this()](Store& store) { return self->read_(store); },
                    [self = this->shared_from_this()](std::future<std::vector<Item>> result) {
                      self->reading_ = false;
                      try {
                        for (Item& item : result.get()) self->items_.push_back(std::move(item));
                      } catch (...) {
                        self->error_ = std::current_exception();
                      }
                      self->brain_.schedule_turn();
                    });
  }

  Brain& brain_;
  Read read_;
  std::deque<Item> items_;
  bool reading_ = false;
  std::exception_ptr error_;
};

// The chain's units from the one that holds proposal `first_index` on, as far as they are durable: to be asked for no
// more.
std::shared_ptr<ReadAhead<UnitRecord>> read_units(Brain& brain, std::uint64_t first_index);

// A file's bytes, limits::kChunkBytes at a time; nothing in it, at its end. It is open only while it is read.
std::shared_ptr<ReadAhead<std::string>> read_chunks(Brain& brain, const std::filesystem::path& path);

}  // namespace flowloom
