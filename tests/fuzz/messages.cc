// Events, one after the other: workers that come, answer, say anything and go; a trainer that shares steps; an operator
// who activates versions and has units drawn again; publications, time, failing writes, restarts. Whatever they are,
// the log is the one of a plain loop, and an honest worker can finish it.
//
// Two answers of the right shape to a unit that is wanted are believed if they agree, and one where a unit is drawn
// once; so one that the fuzzer makes up gets the right numbers before it is sent: everything else in it stays as it
// came. The same for a reweigh. Workers that lie are in the schedules (tests/unit/coordinator_schedules_test.cc).
#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "coordinator_world.h"
#include "input.h"
#include "program/rpc.h"
#include "promises.h"
#include "targets.h"

namespace flowloom::fuzz {
namespace {

namespace v1 = flowloom::v1;
using v1::WorkerMessage;

constexpr std::size_t kVersions = 3;
constexpr std::size_t kLargestMessage = 64 << 10;  // of these small runs
constexpr std::size_t kLargestStatus = 64 << 10;

const RunSpec& run_number(std::size_t number) {
  static const std::array<RunSpec, 4> kRuns = {
      RunText{.unit = 4, .length = 32, .window = 3, .lease = 5, .switches = {0, 12, 20}}.run(),
      RunText{.unit = 4, .length = 24, .window = 3, .lease = 5, .switches = {}}.run(),
      RunText{.unit = 1, .length = 12, .window = 8, .lease = 1, .switches = {0}}.run(),
      RunText{.unit = 4, .length = 24, .window = 3, .lease = 5, .audit = 1, .switches = {0, 12}}.run()};
  return kRuns.at(number);
}

class World {
 public:
  explicit World(Bytes bytes) : input_(bytes), run_(run_number(input_.below(4))), log_(run_) {
    log_.fails = [this](const Write&) { return failing_; };
    restart();
  }

  void play() {
    for (int events = 0; !input_.empty() && events < 256; ++events) {
      event();
      settle();
    }
    failing_ = false;
    finish();
    check_log();
  }

 private:
  struct Peer {
    WorkerId id = 0;  // 0: away
    std::set<std::uint32_t> ready;
    std::vector<v1::SampleGrant> samples;
    std::vector<v1::ReweighGrant> reweighs;
    std::vector<v1::GradientGrant> gradients;
    std::set<std::uint64_t> offers;  // whose weights it has
  };

  // ------------------------------------------------------------------------------------------ all contact with Core

  void restart() {
    for (Peer& peer : peers_) peer = {};
    failing_ = rechecking_ = false;
    core_ = start_core(run_, log_);
    settle();
  }

  void join(Peer& peer, const v1::Hello& message) {
    if (peer.id != 0) return;
    peer = {};
    peer.id = core_->joined(message, now_);
  }

  void say(Peer& peer, const WorkerMessage& message) {
    if (peer.id == 0) return;
    if (message.has_ready()) peer.ready.insert(message.ready().version());
    const bool unproven = (message.has_sample() && !peer.ready.contains(message.sample().version())) ||
                          (message.has_reweigh() && !peer.ready.contains(message.reweigh().version()));
    const std::size_t records = log_.records.size();
    core_->received(peer.id, message);
    flowloom::settle(*core_, log_, now_);
    require(!unproven || log_.records.size() == records, "Nobody contributes who has not verified the version.");
  }

  void leave(Peer& peer) {
    if (peer.id == 0) return;
    core_->left(peer.id);
    peer = {};
  }

  void tick(Time duration) {
    now_ += duration;
    core_->tick(now_);
  }

  void publish() {
    if (log_.models.size() >= kVersions) return;
    const auto entry = static_cast<std::uint32_t>(log_.models.size());
    std::vector<std::uint32_t> entries;
    if (entry < run_.chain.versions.size()) entries = {entry};
    const ModelRow row = log_.publish("checkpoint " + std::to_string(entry), entries);
    core_->published(row, entries);
  }

  void share(const v1::GradientStep& step) {
    try {
      core_->share(step);
      step_ = step;
      shared_.clear();
    } catch (const Error& error) {
      require_sentence(error);
    }
  }

  void activate(std::uint32_t version, const std::string& reason) {
    try {
      core_->activate(version, reason.substr(0, limits::kReasonBytes));
    } catch (const Error& error) {
      require_sentence(error);
    }
  }

  void recheck(const UnitSample& sample) {
    core_->recheck(sample);
    rechecking_ = true;
  }

  // Hands out what the core has to say, as the shell does, and looks at what it did.
  void settle() {
    flowloom::settle(*core_, log_, now_);
    std::map<WorkerId, std::size_t> sent;
    for (const auto& answer : core_->take_gradients()) check_gradient(answer);
    for (auto messages = core_->take_outgoing(); !messages.empty(); messages = core_->take_outgoing()) {
      for (const Core::Outgoing& out : messages) {
        require(++sent[out.worker] < limits::kQueuedMessages, "An event fills nobody's queue.");
        require(out.message.ByteSizeLong() <= kLargestMessage, "What is sent is bounded, whatever came.");
        const auto peer = std::ranges::find(peers_, out.worker, &Peer::id);
        if (peer == peers_.end()) continue;
        take(*peer, out.message);
        if (out.last) leave(*peer);
      }
    }
  }

  void check_status() const {
    const v1::StatusReply status = core_->status(now_);
    require(status.ByteSizeLong() <= kLargestStatus, "The status is bounded, whatever came.");
    require(status.proposals() == log_.frontier() && core_->durable_frontier() == log_.frontier(),
            "The status shows what is durable.");
    require(core_->models().versions_size() == static_cast<int>(log_.models.size()), "Every version is listed.");
  }

  // ------------------------------------------------------------------------------------------------------- promises

  void take(Peer& peer, const v1::CoordinatorMessage& message) {
    if (message.has_sample()) {
      const auto& grant = message.sample();
      const SwitchRecord* row = log_.serving(grant.first_unit() * run_.unit);
      require(row && row->version == grant.version(), "A switch is durable before the first grant above it.");
      require(grant.units() == 1 && grant.first_unit() < run_.length_in_units(), "Grants lie inside the chain.");
      require(rechecking_ || grant.first_unit() >= log_.frontier() / run_.unit,
              "A committed unit is not granted, unless a sample of them is drawn again.");
      require(grant.first_unit() < log_.frontier() / run_.unit + run_.chain.window || failed_,
              "Grants lie in the window.");
      require(peer.ready.contains(grant.version()), "Only who verified a version serves it.");
      peer.samples.push_back(grant);
    } else if (message.has_reweigh()) {
      require(peer.ready.contains(message.reweigh().version()), "Only who verified a version reweighs under it.");
      peer.reweighs.push_back(message.reweigh());
    } else if (message.has_weights()) {
      peer.offers.insert(message.weights().offer());
    } else if (message.has_gradient()) {
      require(peer.offers.contains(message.gradient().offer()), "Before a grant of gradients come the weights.");
      require(message.gradient().unit() < step_.units(), "Granted gradient units are the step's.");
      peer.gradients.push_back(message.gradient());
    } else if (message.has_refusal()) {
      require_sentence(Error(ErrorCode::kInvalidInput, message.refusal().sentence()));
    }
  }

  void check_gradient(const v1::GradientAnswer& answer) {
    require(answer.slopes().size() == step_.weights().size() && answer.log_w().size() == step_.unit_size() * 8,
            "The trainer gets what it asked for.");
    require(answer.unit() < step_.units() && shared_.insert(answer.unit()).second, "Each gradient unit is taken once.");
  }

  // An operator's are events beside the switches that they make.
  std::vector<Record> without_decisions() const {
    std::vector<Record> records = log_.records;
    std::erase_if(records, [](const Record& record) { return std::holds_alternative<EventRecord>(record); });
    return records;
  }

  // Records are only ever appended, so that one look at the end sees what any event did to them.
  void check_log() {
    const std::uint64_t committed = log_.frontier() / run_.unit;
    const auto reference = reference_log(run_, log_, numbers_, std::min(committed + 1, run_.length_in_units()));
    const auto records = without_decisions();
    require(records.size() <= reference.size(), "The log has no more records than a plain loop's.");
    for (std::size_t i = 0; i < records.size(); ++i) {
      require(canonical_bytes(records[i]) == canonical_bytes(reference[i]), "The log is the one of a plain loop.");
    }
  }

  // --------------------------------------------------------------------------------------------------------- events

  const ModelRow* model(std::uint32_t version) const {
    return version >= 1 && version <= log_.models.size() ? &log_.models[version - 1] : nullptr;
  }

  // The right log_q of a committed state, if this is one.
  std::optional<double> drawn_log_q(std::uint64_t index) const {
    if (index >= log_.frontier() + run_.unit * run_.chain.window) return {};
    const SwitchRecord* row = log_.serving(index);
    if (!row) return {};
    return numbers_.unit(index / run_.unit, run_.unit, *model(row->version)).log_q[index % run_.unit];
  }

  // With the right numbers, where it has the shape of an answer that would be believed.
  WorkerMessage honest(WorkerMessage message) const {
    if (message.has_sample()) {
      auto& answer = *message.mutable_sample();
      const std::size_t column = run_.unit * sizeof(double);
      const ModelRow* row = model(answer.version());
      if (!row || answer.unit() >= run_.length_in_units() || answer.log_p().size() != column ||
          answer.log_q().size() != column || answer.sums().size() != Numbers::kSums * column) {
        return message;
      }
      const std::uint64_t epoch = answer.epoch();
      message = numbers_.sample(answer.unit(), run_.unit, *row);
      message.mutable_sample()->set_epoch(epoch);
    } else if (message.has_reweigh()) {
      auto& answer = *message.mutable_reweigh();
      const ModelRow* row = model(answer.version());
      const auto drawn = drawn_log_q(answer.index());
      if (row && drawn && std::isfinite(answer.log_q())) {
        answer.set_log_q(numbers_.reweighed(answer.index(), *drawn, *row));
      }
    }
    return message;
  }

  // One that gRPC could not parse would have ended the stream.
  template <class Message>
  Message parsed() {
    return parse<Message>(input_.piece()).value_or(Message());
  }

  v1::Hello some_hello() {
    v1::Hello message = hello(static_cast<std::uint32_t>(input_.number()));
    message.add_capabilities(gradient_capability());
    if (!log_.pinned.empty()) message.mutable_engines(0)->set_build(log_.pinned);
    const std::string text(std::size_t{input_.number<std::uint16_t>()} * 4, 'x');
    switch (input_.below(12)) {
      case 0:
        message.set_protocol(text);
        break;
      case 1:
        message.mutable_run()->set_run_id(text);
        break;
      case 2:
        message.mutable_engines(0)->set_build(text);
        break;
      case 3:
        message.set_name(text);
        break;
      case 4:
        message.clear_capabilities();
        break;
      case 5:
        message.set_identity(text);
        break;
      default:
        break;
    }
    return message;
  }

  // An answer to one of this worker's grants, or with one field that is not the grant's.
  WorkerMessage some_sample(Peer& peer) {
    v1::SampleGrant grant;
    if (!peer.samples.empty()) {
      const auto at = peer.samples.begin() + static_cast<std::ptrdiff_t>(input_.below(peer.samples.size()));
      grant = *at;
      peer.samples.erase(at);
    }
    const ModelRow* row = model(grant.version());
    WorkerMessage message;
    if (row) message = numbers_.sample(grant.first_unit(), run_.unit, *row);
    auto& answer = *message.mutable_sample();
    answer.set_epoch(log_.epoch);
    switch (input_.below(10)) {
      case 0:
        answer.set_unit(input_.number());
        break;
      case 1:
        answer.set_version(input_.number());
        break;
      case 2:
        answer.set_epoch(input_.number());
        break;
      case 3:
        answer.set_log_q(input_.piece());
        break;
      case 4:
        answer.set_unit(input_.number<std::uint64_t>());
        break;
      default:
        break;
    }
    return message;
  }

  WorkerMessage some_reweigh(Peer& peer) {
    v1::ReweighGrant grant;
    if (!peer.reweighs.empty()) grant = peer.reweighs[input_.below(peer.reweighs.size())];
    const ModelRow* row = model(grant.version());
    WorkerMessage message;
    if (row) message = numbers_.reweigh(grant, *row);
    auto& answer = *message.mutable_reweigh();
    switch (input_.below(10)) {
      case 0:
        answer.set_index(input_.number());
        break;
      case 1:
        answer.set_mismatch(std::bit_cast<double>(input_.number<std::uint64_t>()));
        break;
      case 2:
        answer.set_log_q(std::bit_cast<double>(input_.number<std::uint64_t>()));
        break;
      case 3:
        answer.set_version(input_.number());
        break;
      default:
        break;
    }
    return message;
  }

  WorkerMessage some_gradient(Peer& peer) {
    v1::GradientGrant grant;
    if (!peer.gradients.empty()) {
      const auto at = peer.gradients.begin() + static_cast<std::ptrdiff_t>(input_.below(peer.gradients.size()));
      grant = *at;
      peer.gradients.erase(at);
    }
    WorkerMessage message;
    auto& answer = *message.mutable_gradient();
    answer.set_step(grant.step());
    answer.set_unit(grant.unit());
    answer.set_offer(grant.offer());
    answer.set_slopes(step_.weights());
    answer.set_log_w(std::string(grant.unit_size() * sizeof(double), '\0'));
    switch (input_.below(8)) {
      case 0:
        answer.set_unit(input_.number<std::uint32_t>());
        break;
      case 1:
        answer.set_offer(input_.number());
        break;
      case 2:
        answer.set_log_w(input_.piece());
        break;
      default:
        break;
    }
    return message;
  }

  WorkerMessage some_failure(Peer& peer) {
    WorkerMessage message = failure(input_.number(), std::string(input_.number<std::uint16_t>(), 'x'));
    if (input_.number() % 2 != 0 && !peer.samples.empty()) {
      message.mutable_failure()->set_unit(peer.samples.front().first_unit());
    }
    return message;
  }

  v1::GradientStep some_step() {
    static std::map<const RunSpec*, std::pair<Sha256, std::size_t>> known;
    if (!known.contains(&run_)) {
      known[&run_] = {training_identity(run_), architecture_of(run_)->parameter_count() * sizeof(double)};
    }
    const auto& [training, weight_bytes] = known[&run_];
    v1::GradientStep step;
    step.set_step(input_.number());
    step.set_weights(std::string(weight_bytes, '\0'));
    step.set_units(input_.number());
    step.set_unit_size(static_cast<std::uint32_t>(input_.below(5)));
    step.set_training(training.data(), training.size());
    step.set_revision(kGradientRevision);
    step.set_taken(input_.number());
    if (input_.number() % 8 == 0) step.set_units(input_.number<std::uint32_t>());
    return step;
  }

  void event() {
    Peer& peer = peers_[input_.below(peers_.size())];
    switch (input_.below(22)) {
      case 0:
        return join(peer, some_hello());
      case 1:
        return join(peer, parsed<v1::Hello>());
      case 2:
        return say(peer, honest(parsed<WorkerMessage>()));
      case 3:
      case 4:
        return say(peer, honest(some_sample(peer)));
      case 5:
        return say(peer, honest(some_reweigh(peer)));
      case 6:
        return say(peer, ready(input_.number()));
      case 7:
        return say(peer, some_failure(peer));
      case 8:
        return publish();
      case 9:
        return tick(Time{input_.number<std::uint16_t>()});
      case 10:
        return leave(peer);
      case 11:
        failing_ = !failing_;
        failed_ = true;
        return;
      case 12:
        if (input_.number() % 2 != 0) core_->drain();
        settle();
        return restart();
      case 13:
        return share(some_step());
      case 14:
        return share(parsed<v1::GradientStep>());
      case 15:
        return say(peer, some_gradient(peer));
      case 16:
        return core_->taken(parsed<v1::Taken>());
      case 17:
        return core_->gradient_delivered();
      case 18:
        core_->stop_sharing();
        step_.Clear();
        return;
      case 19:
        core_->reported(parsed<v1::TrainingReport>(), now_);
        return check_status();
      case 20: {
        const std::uint32_t version = input_.number();
        return activate(version, input_.piece());
      }
      case 21: {
        const double share = (1.0 + input_.number()) / 256;
        return recheck({share, 1u + input_.number()});
      }
    }
  }

  // Nobody's nonsense is in the way of an honest worker, unless the run halted with a sentence.
  void finish() {
    for (Peer& peer : peers_) leave(peer);
    settle();
    for (int rounds = 0; !core_->complete(); ++rounds) {
      const v1::StatusReply status = core_->status(now_);
      if (status.state() == v1::StatusReply::STATE_HALTED) return;
      require(rounds < 400, "The chain ends: " + status.ShortDebugString());
      if (core_->finished()) restart();  // it was drained
      while (log_.models.size() < kVersions) publish();
      Peer& worker = peers_[0];
      v1::Hello message = hello(2);
      if (!log_.pinned.empty()) message.mutable_engines(0)->set_build(log_.pinned);
      join(worker, message);
      for (const ModelRow& row : std::vector(log_.models)) say(worker, ready(row.version));
      settle();
      for (const auto& grant : std::exchange(worker.samples, {})) {
        say(worker, numbers_.sample(grant.first_unit(), run_.unit, *model(grant.version())));
      }
      settle();
      for (const auto& grant : std::exchange(worker.reweighs, {})) {
        say(worker, numbers_.reweigh(grant, *model(grant.version())));
      }
      settle();
      tick(Time{1500});
      settle();
    }
    check_status();
    require(head_of(run_, without_decisions()) == head_of(run_, reference_log(run_, log_, numbers_)),
            "The head is the one of a plain loop.");
  }

  Input input_;
  const RunSpec& run_;
  MemoryLog log_;
  Numbers numbers_;
  std::unique_ptr<Core> core_;
  Time now_{1000};
  bool failing_ = false, failed_ = false, rechecking_ = false;
  std::array<Peer, 3> peers_;
  v1::GradientStep step_;           // shared now
  std::set<std::uint32_t> shared_;  // its units that the trainer got
};

}  // namespace

void messages(Bytes input) { World(input).play(); }

}  // namespace flowloom::fuzz
