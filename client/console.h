// Where the commands of `flowloom` print.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace flowloom {

// Results go to `out`; progress that is no result goes to `err` where results are JSON.
struct Console {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::string program = "flowloom";  // as it was called, for commands that are shown

  void print(const std::vector<std::string>& lines) const;
};

}  // namespace flowloom
