// Shows a run's progress on a stream: a block redrawn in place on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "flowloom/v1/chain.pb.h"

namespace flowloom {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Mode { kTerminal, kLines, kSilent };

  // `footer` stands below the block. On a terminal (standard output) the cursor is hidden until the end.
  Progress(std::ostream& out, Mode mode, std::string footer, bool training_only = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // To be called as often as one likes: redraws at most 10 times a second, prints a line every 5 seconds and
  // whenever the state changes.
  void show(const v1::StatusReply& status, Clock::time_point now);

  // A sentence about something that happened: stays in the block until the next one; a line of its own elsewhere.
  void notice(const std::string& sentence);

  // Leaves the last block on the screen, or wipes it, and gives the cursor back.
  enum class Leave { kKeep, kWipe };
  void finish(Leave leave);

 private:
  void draw(const v1::StatusReply& status, Clock::time_point now);
  std::string to_top(std::size_t columns);  // control sequence to where the block begins; forgets the block

  std::ostream& out_;
  Mode mode_;
  bool training_only_;
  std::string footer_, notice_;
  Clock::time_point start_ = Clock::now();
  std::optional<Clock::time_point> shown_;
  std::vector<std::size_t> drawn_;  // widths of the block's lines on the screen
  std::string last_state_;
  std::optional<v1::StatusReply> last_;  // drawn
};

}  // namespace flowloom
