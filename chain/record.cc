#include "chain/record.h"

#include "spec/packing.h"

namespace flowloom {
namespace {

template <class T>
void append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append(std::string& bytes, const Sha256& digest) {
  bytes.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}

struct Canonical {
  std::string operator()(const UnitRecord& r) const {
    std::string bytes = "U";
    append(bytes, r.data.first_index);
    append(bytes, static_cast<std::uint32_t>(r.data.count()));
    append(bytes, static_cast<std::uint32_t>(2 + (r.data.count() ? r.data.sums.size() / r.data.count() : 0)));
    bytes += pack(r.data.log_p);
    bytes += pack(r.data.log_q);
    bytes += pack(r.data.sums);
    bytes += pack_flags(r.accepted);
    return bytes;
  }
  std::string operator()(const SwitchRecord& r) const {
    std::string bytes = "S";
    append(bytes, r.from);
    append(bytes, r.checkpoint);
    append(bytes, static_cast<std::uint8_t>(r.by_clock));
    return bytes;
  }
  std::string operator()(const ReweighRecord& r) const {
    std::string bytes = "R";
    append(bytes, r.index);
    append(bytes, canonical(r.log_q));
    return bytes;
  }
  std::string operator()(const EventRecord& r) const {
    std::string bytes = "E";
    append(bytes, r.at);
    append(bytes, static_cast<std::uint32_t>(r.text.size()));
    return bytes + r.text;
  }
};

}  // namespace

std::string canonical_bytes(const Record& record) { return std::visit(Canonical{}, record); }

Sha256 next_link(const Sha256& previous, const Record& record) {
  std::string bytes;
  append(bytes, previous);
  append(bytes, sha256(canonical_bytes(record)));
  return sha256(bytes);
}

std::string pack_flags(std::span<const std::uint8_t> flags) {
  std::string bytes((flags.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (flags[i]) bytes[i / 8] = static_cast<char>(bytes[i / 8] | (1 << (i % 8)));
  }
  return bytes;
}

std::vector<std::uint8_t> unpack_flags(std::string_view bytes, std::size_t count) {
  std::vector<std::uint8_t> flags(count);
  for (std::size_t i = 0; i < count && i / 8 < bytes.size(); ++i) {
    flags[i] = static_cast<std::uint8_t>((static_cast<unsigned char>(bytes[i / 8]) >> (i % 8)) & 1);
  }
  return flags;
}

}  // namespace flowloom
