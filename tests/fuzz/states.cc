#include "chain/states_reply.h"

#include "chain/analysis.h"
#include "chain/status_reply.h"
#include "coordinator_world.h"
#include "input.h"
#include "lattice/theories.h"
#include "promises.h"
#include "targets.h"

namespace flowloom::fuzz {

void states(Bytes input) {
  static const RunSpec kRun = RunText{}.run();
  static const AnyTheory kTheory = make_theory(kRun.theory);
  const auto reply = parse<flowloom::v1::StatesReply>(std::string(input.begin(), input.end()));
  if (!reply) return;
  try {
    const UnitRecord unit = unit_of(*reply, "The coordinator");
    const std::size_t count = unit.data.count();
    require(count == reply->count() && unit.accepted.size() == count && unit.data.log_q.size() == count &&
                unit.data.sums.size() % count == 0,
            "A unit's arrays fit together.");
    ChainAnalysis analysis(kTheory);
    analysis.add(unit);
    require(analysis.result(0).proposals == count, "Every proposal is counted.");
    ChainStatistics statistics(kTheory);
    statistics.add(unit);
    const auto status = chain_status(kRun, "", "", statistics, ChainEnd(kRun), {});
    require(status.proposals() == count, "Every proposal is counted.");
    for (const auto& row : status.observables()) {
      require(!std::isinf(row.mean()) && !std::isinf(row.error()), "What has no error is no number.");
    }
  } catch (const Error& error) {
    require_sentence(error);
    require(error.code() == ErrorCode::kCorrupt, "A unit that does not fit together is corrupt.");
  }
}

}  // namespace flowloom::fuzz
