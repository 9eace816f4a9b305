#include "client/console.h"

#include <ostream>

namespace flowloom {

void Console::print(const std::vector<std::string>& lines) const {
  for (const std::string& line : lines) out << line << "\n";
}

}  // namespace flowloom
