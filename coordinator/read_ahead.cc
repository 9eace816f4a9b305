#include "coordinator/read_ahead.h"

#include <fstream>

#include "program/limits.h"
#include "spec/error.h"

namespace flowloom {

std::shared_ptr<ReadAhead<UnitRecord>> read_units(Brain& brain, std::uint64_t first_index) {
  constexpr std::size_t kAtOnce = 8;
  return std::make_shared<ReadAhead<UnitRecord>>(brain, [next = first_index](Store& store) mutable {
    auto units = store.units(next, kAtOnce);
    if (units.empty()) {
      throw Error(ErrorCode::kCorrupt, "The store has lost proposal " + std::to_string(next) +
                                           "; end the coordinator and run 'flowloom verify'.");
    }
    next = units.back().data.first_index + units.back().data.count();
    return units;
  });
}

std::shared_ptr<ReadAhead<std::string>> read_chunks(Brain& brain, const std::filesystem::path& path) {
  return std::make_shared<ReadAhead<std::string>>(brain, [path, at = std::streamoff{0}](Store&) mutable {
    std::string chunk(limits::kChunkBytes, '\0');
    std::ifstream file(path, std::ios::binary);
    if (file.seekg(at)) file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (!file && !file.eof()) {
      throw Error(ErrorCode::kCorrupt, "'" + path.string() + "' cannot be read; restore it from a backup.");
    }
    chunk.resize(static_cast<std::size_t>(file.gcount()));
    at += file.gcount();
    std::vector<std::string> chunks;
    chunks.push_back(std::move(chunk));
    return chunks;
  });
}

}  // namespace flowloom
