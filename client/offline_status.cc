#include "client/offline_status.h"

#include <algorithm>

#include "chain/end.h"
#include "chain/log_state.h"
#include "chain/status_reply.h"

namespace flowloom {

std::uint64_t chain_end(const Store& store, const RunSpec& run) {
  ChainEnd end(run);
  store.for_each(std::max<std::int64_t>(1, store.frontier_record()), [&](const LinkedRecord& linked) {
    end.add(linked.record);
    return true;
  });
  return end.index();
}

v1::StatusReply offline_status(const Store& store, const RunSpec& run) {
  SavedState saved = saved_state(store, run);
  LogState& log = saved.state;
  store.for_each(saved.sequence + 1, [&](const LinkedRecord& linked) {
    log.add(linked.record);
    return true;
  });
  v1::StatusReply reply = chain_status(run, store.run_id(), store.pinned_build(), log.statistics(), log.end(),
                                       list_reply(store.models(), store.switches()));
  add_training(reply, stored_training(store, run));
  reply.set_head(to_hex(store.head()));
  add_quarantined(reply, quarantined_names(store.workers()));
  const bool complete = reply.proposals() >= reply.length();
  reply.set_state(complete ? v1::StatusReply::STATE_COMPLETE : v1::StatusReply::STATE_UNSPECIFIED);
  if (!complete) reply.set_sentence("nobody computes it now; 'flowloom up RUN.toml --dir DIRECTORY' goes on");
  return reply;
}

}  // namespace flowloom
