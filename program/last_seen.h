// What a coordinator told this process of its log (Seen): kept for as long as the process lives, to be told to the next
// one. Any thread.
#pragma once

#include <mutex>
#include <utility>

#include "flowloom/v1/common.pb.h"

namespace flowloom {

class LastSeen {
 public:
  void told(flowloom::v1::Seen seen) {
    const std::lock_guard lock(mutex_);
    seen_ = std::move(seen);
  }

  // Empty before the first.
  flowloom::v1::Seen get() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  mutable std::mutex mutex_;
  flowloom::v1::Seen seen_;
};

}  // namespace flowloom
