#include "spec/document.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "spec/error.h"

namespace flowloom {

struct Document::Impl {
  std::string name;
  toml::table root;
  std::map<std::string, std::string> overridden;  // "train.batch" -> "--set train.batch=256"
};

namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& where, const std::string& rest) {
  throw Error(ErrorCode::kInvalidInput, where + rest);
}

std::string describe(const toml::node& node) {
  if (node.is_table()) return "a table";
  std::ostringstream text;
  node.visit([&](const auto& value) { text << value; });
  return text.str();
}

// A value as it could stand after `key =`, on one line.
std::string toml_text(const toml::node& node) {
  if (const toml::array* list = node.as_array()) {
    std::string text;
    for (const toml::node& element : *list) text += (text.empty() ? "" : ", ") + toml_text(element);
    return "[" + text + "]";
  }
  if (const toml::table* entries = node.as_table()) {
    std::string text;
    for (const auto& [key, value] : *entries) {
      text += (text.empty() ? "" : ", ") + std::string(key.str()) + " = " + toml_text(value);
    }
    return "{ " + text + " }";
  }
  const auto* number = node.as_floating_point();
  if (number && std::isfinite(**number)) return json(**number).dump();  // as few digits as say it exactly
  return describe(node);
}

const char* type_name(KeyType type) {
  switch (type) {
    case KeyType::kFlag:
      return "true or false";
    case KeyType::kInteger:
      return "a whole number";
    case KeyType::kReal:
      return "a number";
    case KeyType::kText:
      return "a text in quotes";
    case KeyType::kIntegers:
      return "a list of whole numbers";
    case KeyType::kValues:
      return "a list";
    case KeyType::kTable:
      return "a table { key = value, … }";
    case KeyType::kTables:
      return "a list of tables [ { key = value, … }, … ]";
  }
  return "";
}

std::string shortest(double number) { return json(number).dump(); }

std::string range_of(const Key& key) {
  const auto number = [&](double value) {
    const bool whole = key.type != KeyType::kReal && std::abs(value) < 0x1p53;
    return whole ? std::to_string(static_cast<long long>(value)) : shortest(value);
  };
  if (std::isfinite(key.min) && std::isfinite(key.max)) {
    return (key.above_min ? "above " : "from ") + number(key.min) + (key.above_min ? " and at most " : " to ") +
           number(key.max);
  }
  if (std::isfinite(key.min)) return (key.above_min ? "above " : "at least ") + number(key.min);
  return "at most " + number(key.max);
}

// Walks the declared keys of one table: resolves values, remembers where each came from.
class Reader {
 public:
  explicit Reader(const std::string& file, const std::map<std::string, std::string>& overridden)
      : file_(file), overridden_(overridden) {}

  struct Result {
    json values = json::object();
    json places = json::object();
  };

  Result table(const toml::table& table, const std::vector<Key>& keys, const std::string& label,
               const std::string& path) const {
    refuse_unknown(table, keys, label, path);
    Result result;
    for (const Key& key : keys) {
      const std::string key_path = path + "." + key.name;
      if (const toml::node* node = table.get(key.name)) {
        const std::string where = place(*node, key_path, label + " " + key.name);
        result.places[key.name] = where;
        result.values[key.name] = value(*node, key, where, key_path, result.places[key.name]);
      } else if (key.required) {
        refuse(place(table, path, label), ": the key '" + key.name + "' is missing: " + key.sentence);
      } else if (!key.default_value.is_null()) {
        result.values[key.name] = key.default_value;
      }
    }
    return result;
  }

  std::string place(const toml::node& node, const std::string& path, const std::string& label) const {
    for (std::string at = path; !at.empty();) {
      if (const auto found = overridden_.find(at); found != overridden_.end()) return found->second;
      const auto dot = at.find_last_of('.');
      at.resize(dot == std::string::npos ? 0 : dot);
    }
    const auto line = node.source().begin.line;
    if (line == 0) {  // a table that only overrides made
      const auto below = overridden_.lower_bound(path + ".");
      if (below != overridden_.end() && below->first.starts_with(path + ".")) return below->second;
    }
    return file_ + (line > 0 ? ":" + std::to_string(line) : "") + ": " + label;
  }

  // The list, if it has as many elements as the key takes.
  const toml::array* sized_list(const toml::node& node, const Key& key, const std::string& where,
                                const std::string& wanted) const {
    const toml::array* list = node.as_array();
    if (!list) refuse(where, wanted);
    if (list->size() < key.min_size || list->size() > key.max_size) {
      const std::string least = std::to_string(key.min_size), most = std::to_string(key.max_size);
      refuse(where, " has " + std::to_string(list->size()) + (list->size() == 1 ? " element" : " elements") +
                        "; it takes " + (least == most ? least : least + " to " + most) + ". " + key.sentence);
    }
    return list;
  }

  // The checked value of one node; `places` receives where a table's own keys came from.
  json value(const toml::node& node, const Key& key, const std::string& where, const std::string& path,
             json& places) const {
    const std::string wanted =
        std::string(": expected ") + type_name(key.type) + ", found " + describe(node) + ". " + key.sentence;
    switch (key.type) {
      case KeyType::kFlag:
        if (!node.is_boolean()) refuse(where, wanted);
        return **node.as_boolean();
      case KeyType::kInteger:
        if (!node.is_integer()) refuse(where, wanted);
        return check_range(static_cast<double>(**node.as_integer()), json(**node.as_integer()), key, where);
      case KeyType::kReal: {
        if (!node.is_number()) refuse(where, wanted);
        const double number = *node.value<double>();
        if (!std::isfinite(number)) refuse(where, " = " + describe(node) + " is not finite. " + key.sentence);
        return check_range(number, json(number), key, where);
      }
      case KeyType::kText: {
        if (!node.is_string()) refuse(where, wanted);
        return check_choice(std::string(**node.as_string()), key, where);
      }
      case KeyType::kIntegers: {
        const toml::array* list = sized_list(node, key, where, wanted);
        json numbers = json::array();
        for (const toml::node& element : *list) {
          if (!element.is_integer()) refuse(where, wanted);
          const std::int64_t number = **element.as_integer();
          numbers.push_back(check_range(static_cast<double>(number), json(number), key, where));
        }
        return numbers;
      }
      case KeyType::kValues: {
        const toml::array* list = sized_list(node, key, where, wanted);
        json texts = json::array();
        for (const toml::node& element : *list) {
          texts.push_back(element.is_string() ? std::string(**element.as_string()) : toml_text(element));
        }
        return texts;
      }
      case KeyType::kTable: {
        if (node.is_string() && !key.choices.empty()) {
          const std::string word = check_choice(std::string(**node.as_string()), key, where);
          places = json::object({{word, where}, {"", where}});
          return json::object({{word, true}});
        }
        if (!node.is_table()) refuse(where, wanted);
        Result inner = table(*node.as_table(), key.keys, label_of(where), path);
        places = std::move(inner.places);
        places[""] = where;
        return std::move(inner.values);
      }
      case KeyType::kTables: {
        const toml::array* list = sized_list(node, key, where, wanted);
        json values = json::array();
        places = json::array();
        for (const toml::node& element : *list) {
          if (!element.is_table()) refuse(where, wanted);
          Result inner = table(*element.as_table(), key.keys, label_of(where), path);
          inner.places[""] = place(element, path, label_of(where));
          values.push_back(std::move(inner.values));
          places.push_back(std::move(inner.places));
        }
        return values;
      }
    }
    return {};
  }

 private:
  void refuse_unknown(const toml::table& table, const std::vector<Key>& keys, const std::string& label,
                      const std::string& path) const {
    std::vector<std::string> names;
    for (const Key& key : keys) names.push_back(key.name);
    for (const auto& [name_, node] : table) {
      const std::string name(name_.str());
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const auto guess = did_you_mean(name, names);
      refuse(place(node, path + "." + name, label),
             ": unknown key '" + name + "'" +
                 (guess ? "; did you mean '" + *guess + "'?" : "; it takes " + join_or(names) + "."));
    }
  }

  // "[chain] versions" out of "run.toml:9: [chain] versions".
  static std::string label_of(const std::string& where) {
    const auto at = where.find(": ");
    return at == std::string::npos ? where : where.substr(at + 2);
  }

  static json check_range(double number, json value, const Key& key, const std::string& where) {
    if (number < key.min || number > key.max || (key.above_min && number == key.min)) {
      refuse(where, " = " + value.dump() + " is out of range: it must be " + range_of(key) + ". " + key.sentence);
    }
    return value;
  }

  static std::string check_choice(const std::string& text, const Key& key, const std::string& where) {
    if (key.choices.empty() || std::find(key.choices.begin(), key.choices.end(), text) != key.choices.end())
      return text;
    const auto guess = did_you_mean(text, key.choices);
    refuse(where, " = \"" + text + "\" is not known" +
                      (guess ? "; did you mean \"" + *guess + "\"?" : "; it is one of: " + join_or(key.choices) + "."));
  }

  const std::string& file_;
  const std::map<std::string, std::string>& overridden_;
};

}  // namespace

Document::Document(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Document Document::parse(const std::string& text, const std::string& name) {
  // A dot in a key makes a table inside a table, and to forget them takes a call inside a call.
  constexpr std::ptrdiff_t kMostDots = 10000;
  if (std::count(text.begin(), text.end(), '.') > kMostDots) {
    refuse(name, " has more than " + std::to_string(kMostDots) + " dots, which no run file needs; make it shorter.");
  }
  auto impl = std::make_unique<Impl>();
  impl->name = name;
  try {
    impl->root = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    refuse(name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column),
           ": not valid TOML: " + std::string(error.description()) + ".");
  }
  return Document(std::move(impl));
}

Document Document::read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (std::filesystem::is_directory(file) || !stream || !(text << stream.rdbuf())) {
    throw Error(
        ErrorCode::kNotFound,
        "The file '" + file.string() + "' cannot be read; check its path and permissions, and that it is not empty.");
  }
  return parse(text.str(), file.filename().string());
}

void Document::set(const std::string& assignment) {
  const std::string origin = "--set " + assignment;
  const auto equals = assignment.find('=');
  const auto dot = assignment.find('.');
  if (equals == std::string::npos || dot == std::string::npos || dot == 0 || dot + 1 >= equals) {
    refuse(origin, ": expected SECTION.KEY=VALUE, for example --set chain.length=100000.");
  }
  const std::string path = assignment.substr(0, equals);
  const std::string value = assignment.substr(equals + 1);
  toml::table parsed;
  try {
    parsed = toml::parse("value = " + value);
  } catch (const toml::parse_error& error) {
    if (value.find_first_of("\"'[]{}\n") != std::string::npos) {
      refuse(origin, ": the value is not valid TOML: " + std::string(error.description()) + ".");
    }
    parsed.insert_or_assign("value", value);
  }
  toml::table* table = &impl_->root;
  std::string rest = path;
  for (auto at = rest.find('.'); at != std::string::npos; at = rest.find('.')) {
    const std::string head = rest.substr(0, at);
    rest = rest.substr(at + 1);
    if (!table->contains(head)) table->insert(head, toml::table{});
    table = table->get(head)->as_table();
    if (!table) refuse(origin, ": '" + head + "' is not a table.");
  }
  parsed.get("value")->visit([&](auto& node) { table->insert_or_assign(rest, node); });
  impl_->overridden[path] = origin;
}

Section Document::section(const std::string& name, const std::vector<Key>& keys) const {
  const Reader reader(impl_->name, impl_->overridden);
  const std::string label = "[" + name + "]";
  static const toml::table kEmpty;
  const toml::node* node = impl_->root.get(name);
  if (node && !node->is_table()) refuse(reader.place(*node, name, name), ": expected a section " + label + ".");
  const toml::table& table = node ? *node->as_table() : kEmpty;
  Reader::Result result = reader.table(table, keys, label, name);
  return Section(impl_->name + ": " + label, std::move(result.values), std::move(result.places));
}

std::string Document::text_of(const std::string& section, const Key& key) const {
  const Reader reader(impl_->name, impl_->overridden);
  const toml::node* node = impl_->root.get(section);
  if (!node || !node->is_table()) {
    refuse(impl_->name,
           ": the section [" + section + "] is missing; it needs at least '" + key.name + "': " + key.sentence);
  }
  if (const toml::node* value = node->as_table()->get(key.name)) {
    const std::string path = section + "." + key.name;
    const std::string where = reader.place(*value, path, "[" + section + "] " + key.name);
    json places;
    return reader.value(*value, key, where, path, places).get<std::string>();
  }
  refuse(reader.place(*node, section, "[" + section + "]"), ": the key '" + key.name + "' is missing: " + key.sentence);
}

void Document::refuse_other_sections(const std::vector<std::string>& known) const {
  const Reader reader(impl_->name, impl_->overridden);
  for (const auto& [name_, node] : impl_->root) {
    const std::string name(name_.str());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto guess = did_you_mean(name, known);
    refuse(reader.place(node, name, "[" + name + "]"),
           ": unknown section" + (guess ? "; did you mean [" + *guess + "]?" : "; there are " + join_or(known) + "."));
  }
}

std::string Document::text() const {
  std::ostringstream text;
  text << impl_->root << "\n";
  return text.str();
}

}  // namespace flowloom
