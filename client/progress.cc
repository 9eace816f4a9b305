#include "client/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>
#include <vector>

#include "client/live_block.h"
#include "client/text.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;

struct Size {
  std::size_t columns = 80, rows = 24;
};

Size terminal_size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

}  // namespace

Progress::Progress(std::ostream& out, Mode mode, std::string footer, bool training_only)
    : out_(out), mode_(mode), training_only_(training_only), footer_(std::move(footer)) {
  if (mode_ == Mode::kTerminal) out_ << "\x1b[?25l" << std::flush;
}

Progress::~Progress() { finish(Leave::kKeep); }

void Progress::show(const v1::StatusReply& status, Clock::time_point now) {
  if (mode_ == Mode::kSilent) return;
  const std::string state = std::to_string(status.state()) + status.sentence();
  const bool changed = state != last_state_;
  const auto pause = mode_ == Mode::kTerminal ? Clock::duration(100ms) : Clock::duration(5s);
  if (!changed && shown_ && now - *shown_ < pause) return;
  last_state_ = state;
  shown_ = now;
  if (mode_ == Mode::kTerminal) {
    last_ = status;
    draw(status, now);
  } else {
    out_ << live_line(status, std::chrono::duration<double>(now - start_).count(), training_only_) << std::endl;
  }
}

void Progress::notice(const std::string& sentence) {
  notice_ = sentence;
  if (mode_ == Mode::kLines) out_ << printable(sentence) << std::endl;
  if (mode_ == Mode::kTerminal && last_) draw(*last_, Clock::now());
}

void Progress::draw(const v1::StatusReply& status, Clock::time_point now) {
  const Size size = terminal_size();
  auto lines = live_block(
      status, {std::chrono::duration<double>(now - start_).count(), notice_, footer_, size.columns, training_only_});
  if (lines.size() >= size.rows) lines.resize(std::max<std::size_t>(1, size.rows - 1));
  // In one piece, so that nothing flickers.
  std::string frame = to_top(size.columns);
  for (const std::string& line : lines) {
    frame += line + "\x1b[K\n";
    drawn_.push_back(display_width(line));
  }
  out_ << frame << "\x1b[J" << std::flush;
}

std::string Progress::to_top(std::size_t columns) {
  // A terminal that became narrower has wrapped what was drawn.
  std::size_t rows = 0;
  for (const std::size_t width : drawn_) rows += std::max<std::size_t>(1, (width + columns - 1) / columns);
  drawn_.clear();
  return (rows > 0 ? "\x1b[" + std::to_string(rows) + "A" : "") + "\r";
}

void Progress::finish(Leave leave) {
  if (mode_ != Mode::kTerminal) return;
  if (leave == Leave::kWipe) out_ << to_top(terminal_size().columns) << "\x1b[J";
  out_ << "\x1b[?25h" << std::flush;
  drawn_.clear();
  mode_ = Mode::kSilent;
}

}  // namespace flowloom
