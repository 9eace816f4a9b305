// A coordinator's core whose messages a test reads and answers by hand.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "coordinator/core.h"
#include "coordinator_world.h"
#include "flow/catalog.h"

namespace flowloom {

struct Grant {
  WorkerId worker = 0;
  std::uint64_t unit = 0;
  std::uint32_t version = 0;
  bool operator==(const Grant&) const = default;
};
inline void PrintTo(const Grant& grant, std::ostream* out) {
  *out << "unit " << grant.unit << " under " << grant.version << " to worker " << grant.worker;
}

class CoreTest : public testing::Test {
 protected:
  void open(const RunText& text) {
    run_ = text.run();
    log_ = std::make_unique<MemoryLog>(run_);
    restart();
  }
  void restart() {
    core_ = start_core(run_, *log_);
    sort_outgoing();
  }

  WorkerId join(std::uint32_t credits = 2) { return join(hello(credits)); }
  WorkerId join(const flowloom::v1::Hello& message) {
    const WorkerId id = core_->joined(message, now_);
    sort_outgoing();
    return id;
  }
  // A worker that verified every version that is published.
  WorkerId join_ready(std::uint32_t credits = 2) {
    const WorkerId id = join(credits);
    for (std::size_t i = 0; i < log_->models.size(); ++i) say(id, ready(log_->models[i].version));
    return id;
  }
  void publish(const std::string& name, const std::vector<std::uint32_t>& entries = {}) {
    core_->published(log_->publish(name, entries), entries);
    sort_outgoing();
  }
  void say(WorkerId id, const flowloom::v1::WorkerMessage& message) {
    core_->received(id, message);
    sort_outgoing();
  }
  void leave(WorkerId id) {
    core_->left(id);
    sort_outgoing();
  }
  void tick(double seconds = 0.1) {
    now_ += Time(static_cast<std::int64_t>(1000 * seconds));
    core_->tick(now_);
    sort_outgoing();
  }

  void sort_outgoing() {
    settle(*core_, *log_, now_);
    for (Core::Outgoing& out : core_->take_outgoing()) {
      if (out.message.has_sample()) {
        grants_.push_back({out.worker, out.message.sample().first_unit(), out.message.sample().version()});
      } else if (out.message.has_reweigh()) {
        reweighs_.emplace_back(out.worker, out.message.reweigh());
      } else if (out.message.has_refusal()) {
        refusals_.push_back(out.message.refusal());
      } else if (out.message.has_weights() && out.message.weights().weights().empty()) {
        done_.emplace_back(out.worker, out.message.weights().offer());
      } else if (out.message.has_weights()) {
        weights_.emplace_back(out.worker, out.message.weights().offer());
      } else if (out.message.has_gradient()) {
        EXPECT_TRUE(std::ranges::count(weights_, std::pair(out.worker, out.message.gradient().offer())) == 1)
            << "before a grant come the weights, once";
        gradients_.emplace_back(out.worker, out.message.gradient().unit());
      } else if (out.message.has_prepare()) {
        prepares_.push_back(out.message.prepare().version().version());
      } else if (out.message.has_goodbye()) {
        goodbyes_.push_back(out.message.goodbye());
      } else {
        ASSERT_TRUE(out.message.has_welcome());
        welcomes_.push_back(out.message.welcome());
      }
    }
  }
  std::vector<Grant> take_grants() { return std::exchange(grants_, {}); }

  const ModelRow& model_of(std::uint32_t version) { return log_->models.at(version - 1); }
  flowloom::v1::WorkerMessage answer(std::uint64_t unit, std::uint32_t version = 1) {
    return numbers_.sample(unit, run_.unit, model_of(version));
  }
  void answer_grants() {
    for (const Grant& grant : take_grants()) say(grant.worker, answer(grant.unit, grant.version));
  }
  // Answers until nothing is open.
  void work() {
    while (!grants_.empty() || !reweighs_.empty()) {
      answer_grants();
      for (const auto& [worker, grant] : std::exchange(reweighs_, {})) {
        say(worker, numbers_.reweigh(grant, model_of(grant.version())));
      }
    }
  }
  flowloom::v1::StatusReply status() { return core_->status(now_); }
  Sha256 reference_head() { return head_of(run_, reference_log(run_, *log_, numbers_)); }

  RunSpec run_;
  std::unique_ptr<MemoryLog> log_;
  std::unique_ptr<Core> core_;
  Numbers numbers_;
  Time now_{1000};
  std::vector<Grant> grants_;
  std::vector<std::pair<WorkerId, std::uint64_t>> weights_;    // of which offer
  std::vector<std::pair<WorkerId, std::uint64_t>> done_;       // told that the steps before this offer are
  std::vector<std::pair<WorkerId, std::uint32_t>> gradients_;  // granted units
  std::vector<std::pair<WorkerId, flowloom::v1::ReweighGrant>> reweighs_;
  std::vector<flowloom::v1::Refusal> refusals_;
  std::vector<std::uint32_t> prepares_;
  std::vector<flowloom::v1::Goodbye> goodbyes_;
  std::vector<flowloom::v1::Welcome> welcomes_;
};

}  // namespace flowloom
