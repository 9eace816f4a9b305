#include "spec/schema.h"

#include <algorithm>

#include "spec/error.h"

namespace flowloom {
namespace {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string Section::name(const std::string& key) const {
  const std::string name = text(key);
  if (name.empty() || name.size() > 128 || name.front() == '.' || name.find('/') != std::string::npos) {
    throw Error(ErrorCode::kInvalidInput, where(key) + " = \"" + name +
                                              "\" names a directory: use 1 to 128 bytes without '/' and without a "
                                              "leading dot.");
  }
  return name;
}

std::string Section::where(const std::string& key) const {
  if (!places_.contains(key)) return place_ + " " + key;
  const nlohmann::json& place = places_.at(key);
  if (place.is_string()) return place.get<std::string>();
  if (place.empty()) return place_ + " " + key;
  return (place.is_array() ? place.at(0) : place).at("").get<std::string>();
}

Section Section::table(const std::string& key) const {
  return Section(where(key), values_.at(key), places_.value(key, nlohmann::json::object()));
}

std::vector<Section> Section::tables(const std::string& key) const {
  std::vector<Section> sections;
  const nlohmann::json places = places_.value(key, nlohmann::json::array());
  for (std::size_t i = 0; i < values_.at(key).size(); ++i) {
    const nlohmann::json own = i < places.size() ? places[i] : nlohmann::json::object();
    sections.emplace_back(own.value("", where(key)), values_.at(key)[i], own);
  }
  return sections;
}

std::optional<std::string> did_you_mean(const std::string& name, const std::vector<std::string>& names) {
  constexpr std::size_t kLongest = 64;  // twice any name of ours; what is compared costs the product of the lengths
  if (name.size() > kLongest) return {};
  const auto best = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
  if (best == names.end() || name.size() < 2) return {};
  if (edit_distance(name, *best) > std::max<std::size_t>(1, name.size() / 3)) return {};
  return *best;
}

std::string join_or(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace flowloom
