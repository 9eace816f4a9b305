// Writes the seeds of the corpus: fuzz_seeds tests/fuzz/corpus. Needed again only where a format or an event's bytes
// change.
#include <cstdio>
#include <exception>
#include <filesystem>

#include "coordinator_world.h"
#include "flow/checkpoint.h"
#include "flow_cases.h"
#include "spec/files.h"

namespace flowloom::fuzz {
namespace {

std::filesystem::path corpus;

void seed(const std::string& target, const std::string& name, const std::string& bytes) {
  std::filesystem::create_directories(corpus / target);
  write_file_atomically(corpus / target / ("seed-" + name), bytes);
}

// Bytes as fuzz/input.h takes them apart.
struct Script {
  std::string bytes;

  template <class Number>
  Script& add(Number value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Script& byte(int value) { return add(static_cast<std::uint8_t>(value)); }
  Script& piece(const std::string& text) {
    add(static_cast<std::uint16_t>(text.size()));
    bytes += text;
    return *this;
  }
};

void checkpoints() {
  const auto write = [](const std::string& name, const FlowCase& flow_case) {
    const RunSpec run = flow_case.run();
    Checkpoint checkpoint;
    checkpoint.theory = run.theory;
    checkpoint.flow = run.flow;
    checkpoint.precision = flow_case.precision;
    checkpoint.training_step = 70;
    checkpoint.weights = architecture_of(run)->initial_weights(NoiseKey::from(name));
    add_references(checkpoint, *open_engine("lanes"));
    seed("checkpoint", name, checkpoint.bytes());
  };
  write("small", {.lattice = {4}, .layers = 1, .hidden = {}});
  write("mixed", {.lattice = {4, 4}, .layers = 2, .hidden = {2}, .precision = Precision::kMixed});
  write("free-field", {.lattice = {4}, .layers = 1, .flow = "prior = \"free-field\"\nrescale = true\nbias = false"});
}

// --------------------------------------------------------------------------------- messages: events of messages.cc

enum Event {
  kJoin = 0,
  kHello = 1,
  kSay = 2,
  kSample = 3,
  kReweigh = 5,
  kReady = 6,
  kFailure = 7,
  kPublish = 8,
  kTick = 9,
  kLeave = 10,
  kFailing = 11,
  kRestart = 12,
  kShare = 13,
  kStep = 14,
  kGradient = 15,
  kTaken = 16,
  kDelivered = 17,
  kStop = 18,
  kReport = 19,
  kActivate = 20,
  kRecheck = 21
};

struct Events : Script {
  explicit Events(int run) { byte(run); }
  Events& event(int peer, Event what) {
    byte(peer).byte(what);
    return *this;
  }
  Events& join(int peer, int credits = 2) {
    event(peer, kJoin).byte(credits).add(std::uint16_t{0}).byte(11);
    return *this;
  }
  Events& ready(int peer, int version) {
    event(peer, kReady).byte(version);
    return *this;
  }
  Events& samples(int peer, int count) {
    for (int i = 0; i < count; ++i) event(peer, kSample).byte(0).byte(9);
    return *this;
  }
  Events& say(int peer, const flowloom::v1::WorkerMessage& message) {
    event(peer, kSay).piece(message.SerializeAsString());
    return *this;
  }
};

void message_seeds() {
  Events scheduled(0);
  scheduled.event(0, kPublish);
  scheduled.join(0).ready(0, 1).samples(0, 3).event(0, kPublish);
  scheduled.ready(0, 2).event(0, kReweigh).byte(0).byte(9);
  scheduled.samples(0, 2).join(1).ready(1, 2).event(1, kTick).add(std::uint16_t{6000});
  scheduled.samples(1, 2).event(0, kLeave).event(0, kPublish).ready(1, 3).event(1, kReweigh).byte(0).byte(9);
  scheduled.samples(1, 3);
  seed("messages", "scheduled", scheduled.bytes);

  Events asap(1);
  asap.event(0, kPublish);
  asap.join(0, 3).join(1, 1).ready(0, 1).ready(1, 1).samples(0, 2).samples(1, 1).event(2, kPublish);
  asap.ready(1, 2).event(1, kReweigh).byte(0).byte(9);
  asap.samples(0, 2).samples(1, 2).event(0, kFailing);
  asap.samples(1, 1).event(0, kTick).add(std::uint16_t{500});
  asap.event(0, kFailing).event(0, kRestart).byte(1);
  asap.join(2).ready(2, 1).ready(2, 2).samples(2, 3);
  seed("messages", "asap", asap.bytes);

  Events shared(2);
  shared.event(0, kPublish);
  shared.join(0, 5).event(0, kShare).byte(3).byte(4).byte(2).byte(1).byte(1);
  for (int i = 0; i < 3; ++i) shared.event(0, kGradient).byte(0).byte(7);
  shared.event(0, kDelivered).ready(0, 1).samples(0, 2);
  shared.event(0, kShare).byte(4).byte(8).byte(3).byte(0).byte(1);
  shared.event(0, kGradient).byte(0).byte(1).byte(1);
  shared.event(0, kTaken).piece("\x08\x04\x10\x02");
  shared.event(0, kStop).event(0, kReport).piece(std::string("\x10\x05\x58\x01", 4));
  seed("messages", "shared", shared.bytes);

  Events audited(3);
  audited.event(0, kPublish);
  audited.join(0, 3).join(1, 2).ready(0, 1).ready(1, 1).samples(0, 2).samples(1, 2).samples(0, 1);
  audited.event(0, kRecheck).byte(255).byte(1);
  audited.join(2, 4).ready(2, 1).samples(2, 3).samples(0, 1).event(1, kLeave).samples(2, 1);
  seed("messages", "audited", audited.bytes);

  Events decided(1);
  decided.event(0, kPublish);
  decided.join(0, 3).ready(0, 1).samples(0, 2).event(0, kPublish).ready(0, 2).event(0, kReweigh).byte(0).byte(9);
  decided.samples(0, 2).event(0, kActivate).byte(1).piece("the newer one is worse");
  decided.samples(0, 1).event(0, kReweigh).byte(0).byte(9);
  decided.samples(0, 2).event(0, kActivate).byte(7).piece("");
  seed("messages", "decided", decided.bytes);

  const RunSpec run = RunText{.unit = 4, .length = 32, .window = 3, .switches = {0, 12, 20}}.run();
  MemoryLog log(run);
  const ModelRow& model = log.publish("checkpoint 0", {0});
  Events said(0);
  said.event(0, kPublish).event(0, kHello).piece(hello().SerializeAsString());
  said.say(0, ready(1)).say(0, Numbers{}.sample(0, run.unit, model)).say(0, failure(1)).say(0, failure(1));
  flowloom::v1::WorkerMessage message;
  message.mutable_credit()->set_credits(9);
  said.say(0, message);
  message.mutable_not_ready()->set_version(1);
  message.mutable_not_ready()->set_sentence("no");
  said.say(0, message);
  message.mutable_reweigh()->set_index(2);
  said.say(0, message);
  message.mutable_gradient()->set_offer(1);
  said.say(0, message);
  message.mutable_loading()->set_version(1);
  message.mutable_loading()->set_step(flowloom::v1::Loading::STEP_VERIFIED);
  said.say(0, message);
  seed("messages", "said", said.bytes);

  // A Hello of 16 MB is read by gRPC; what is said of it must not be as long.
  for (int field = 0; field < 6; ++field) {
    Events large(0);
    large.event(0, kJoin).byte(2).add(std::uint16_t{40000}).byte(field);
    seed("messages", "large-hello-" + std::to_string(field), large.bytes);
  }

  // Rule 9: who has not verified the version that a switch goes to does not reweigh for it.
  Events unverified(0);
  unverified.event(0, kPublish);
  unverified.join(0).ready(0, 1).samples(0, 3).event(0, kPublish);
  unverified.ready(0, 2).join(1).event(1, kReweigh).byte(0).byte(0);
  seed("messages", "unverified", unverified.bytes);
}

void states() {
  const RunSpec run = RunText{}.run();
  MemoryLog log(run);
  const UnitData unit = Numbers{}.unit(3, run.unit, log.publish("checkpoint", {0}));
  flowloom::v1::StatesReply reply;
  reply.set_first_index(unit.first_index);
  reply.set_count(static_cast<std::uint32_t>(unit.count()));
  reply.set_version(1);
  reply.set_accepted(std::string("\1\0\1\0", 4));
  reply.set_log_p(pack(unit.log_p));
  reply.set_log_q(pack(unit.log_q));
  reply.set_sums(pack(unit.sums));
  reply.add_columns("hopping");
  seed("states", "unit", reply.SerializeAsString());
  reply.set_sums(pack(std::vector<double>(unit.count())));
  seed("states", "one-column", reply.SerializeAsString());
}

// ------------------------------------------------------------------------------------------ store: edits of store.cc

void stores() {
  enum { kRecords, kMeta, kModels, kSwitches };
  enum { kInteger, kSmall, kBlob, kText, kDelete, kCopy, kByte };
  const auto rows = [](const std::string& name, int forged, int table, int row, int column, int what,
                       const Script& with) {
    Script script;
    script.byte(forged).byte(table).byte(row).byte(column).byte(what);
    seed("store_rows", name, script.bytes + with.bytes);
  };
  rows("whole", 0, kRecords, 99, 0, kDelete, {});
  // A count of which eight times is zero.
  rows("count-overflows", 0, kRecords, 1, 4, kInteger, Script().add(std::int64_t{1} << 61));
  rows("count-negative", 0, kRecords, 1, 4, kSmall, Script().byte(-1));
  // The data of log_p, log_q and one of the theory's four sums.
  rows("other-sums", 1, kRecords, 1, 6, kBlob, Script().piece(std::string(3 * 4 * 8, '\0')));
  rows("another-number", 0, kRecords, 2, 6, kByte, Script().add(std::uint16_t{3}).byte(1));
  rows("another-number-forged", 1, kRecords, 2, 6, kByte, Script().add(std::uint16_t{7}).byte(63));
  rows("another-flag", 1, kRecords, 1, 5, kByte, Script().add(std::uint16_t{0}).byte(5));
  rows("another-kind", 0, kRecords, 1, 1, kText, Script().piece("switch"));
  rows("record-missing", 0, kRecords, 3, 0, kDelete, {});
  rows("record-twice", 1, kRecords, 1, 0, kCopy, Script().byte(40));
  rows("identity-missing", 0, kMeta, 1, 0, kDelete, {});
  rows("identity-short", 0, kMeta, 1, 1, kBlob, Script().piece("x"));
  rows("model-missing", 0, kModels, 0, 0, kDelete, {});
  rows("switch-missing", 0, kSwitches, 0, 0, kDelete, {});
  for (int row = 0; row < 6; ++row) rows("meta-" + std::to_string(row), 0, kMeta, row, 0, kDelete, {});

  const auto file = [](const std::string& name, int killed, std::uint32_t at, const std::string& damage) {
    Script script;
    script.byte(killed);
    if (killed) script.byte(1);
    script.add(at).byte(static_cast<int>(damage.size()));
    seed("store_file", name, script.bytes + damage);
  };
  seed("store_file", "closed", std::string(1, '\0'));
  seed("store_file", "killed", std::string(1, '\1'));
  file("magic", 0, 0, "another file");
  file("page-size", 0, 16, "\x02");
  file("user-version", 0, 63, "\x07");
  file("short", 0, 5000, "");
  file("log-header", 1, 0, "\1\2\3\4");
  file("log-short", 1, 12000, "");
  for (std::uint32_t page = 1; page < 16; ++page)
    file("page-" + std::to_string(page), 0, page * 4096, "\x02\x01\x40\x20\x10\x08");
  for (std::uint32_t at = 96; at < 8192; at += 1100) file("row-" + std::to_string(at), 0, at, "\xff\x80\x40");
}

}  // namespace
}  // namespace flowloom::fuzz

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds CORPUS\n");
    return 2;
  }
  try {
    flowloom::fuzz::corpus = arguments[1];
    flowloom::fuzz::checkpoints();
    flowloom::fuzz::message_seeds();
    flowloom::fuzz::states();
    flowloom::fuzz::stores();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz_seeds: %s\n", error.what());
    return 1;
  }
}
