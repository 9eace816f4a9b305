// Keys of a run file, declared once.
//
// A part (a theory, a flow, the trainer, the chain) declares its keys with these types; the reader of run
// files, the error sentences, `flowloom check` and docs/run-file.md all derive from that one declaration.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace flowloom {

enum class KeyType { kFlag, kInteger, kReal, kText, kIntegers, kValues, kTable, kTables };

struct Key {
  std::string name = {};
  KeyType type = KeyType::kReal;
  std::string sentence = {};                              // what it means, with its unit
  nlohmann::json default_value = {};                      // null: see `required`
  bool required = false;                                  // neither required nor defaulted: may be absent
  double min = -std::numeric_limits<double>::infinity();  // of a number, or of every element of a list
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;                 // the number must exceed `min`
  std::vector<std::string> choices = {};  // of a text; of a table: words that stand for `{ word = true }`
  std::vector<Key> keys = {};             // of a table, or of each of several tables
  std::size_t min_size = 0;               // of a list
  std::size_t max_size = 64;
};

// A section of a run file after checking: every key that has a value, defaults included.
class Section {
 public:
  Section() = default;
  Section(std::string place, nlohmann::json values, nlohmann::json places)
      : place_(std::move(place)), values_(std::move(values)), places_(std::move(places)) {}

  bool has(const std::string& key) const { return values_.contains(key); }
  bool flag(const std::string& key) const { return values_.at(key).get<bool>(); }
  std::int64_t integer(const std::string& key) const { return values_.at(key).get<std::int64_t>(); }
  std::size_t size(const std::string& key) const { return values_.at(key).get<std::size_t>(); }
  double real(const std::string& key) const { return values_.at(key).get<double>(); }
  std::string text(const std::string& key) const { return values_.at(key).get<std::string>(); }
  // A text that also names a directory: throws `kInvalidInput` unless it has 1 to 128 bytes, no '/' and no leading dot.
  std::string name(const std::string& key) const;
  std::vector<std::int64_t> integers(const std::string& key) const {
    return values_.at(key).get<std::vector<std::int64_t>>();
  }
  // Of kValues: each value as TOML writes it on one line, texts without their quotes.
  std::vector<std::string> texts(const std::string& key) const {
    return values_.at(key).get<std::vector<std::string>>();
  }
  Section table(const std::string& key) const;
  std::vector<Section> tables(const std::string& key) const;

  // Canonical: sorted keys, every default filled in.
  const nlohmann::json& values() const { return values_; }

  // "phi4.toml:7: [theory] m2", to begin a sentence about this key's value with.
  std::string where(const std::string& key) const;

 private:
  std::string place_;  // "phi4.toml:5: [theory]", used for keys that took their default
  nlohmann::json values_ = nlohmann::json::object();
  // The same shape as values_, with places at the leaves; a table's own place is under the empty key.
  nlohmann::json places_ = nlohmann::json::object();
};

// The closest of `names` to `name`, if it is close enough to be a typing error.
std::optional<std::string> did_you_mean(const std::string& name, const std::vector<std::string>& names);

// "a, b or c", as a sentence lists what is allowed.
std::string join_or(const std::vector<std::string>& names);

}  // namespace flowloom
