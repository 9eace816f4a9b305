// One line of a terminal, written again and again; nothing elsewhere.
#pragma once

#include <ostream>
#include <string>

#include "client/console.h"
#include "client/text.h"

namespace flowloom {

class ProgressLine {
 public:
  explicit ProgressLine(const Console& console) : console_(console) {}

  void show(const std::string& text) { write(truncated(text, 79)); }
  void wipe() { write(""); }

 private:
  void write(const std::string& text) {
    if (console_.err_is_terminal) console_.err << "\r" << text << "\x1b[K" << std::flush;
  }

  const Console& console_;
};

}  // namespace flowloom
