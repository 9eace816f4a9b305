#include "spec/schema.h"

#include <algorithm>
#include <numeric>

namespace flowloom {
namespace {

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row.back();
}

}  // namespace

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
  const auto best = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
  if (best == names.end() || edit_distance(name, *best) > std::max<std::size_t>(1, name.size() / 3))
    return {};
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
