#include "client/reference.h"

#include <cmath>
#include <vector>

#include "client/study.h"
#include "spec/toml_text.h"

namespace flowloom {
namespace {

const char* type_name(KeyType type) {
  switch (type) {
    case KeyType::kFlag:
      return "flag";
    case KeyType::kInteger:
      return "whole number";
    case KeyType::kReal:
      return "number";
    case KeyType::kText:
      return "text";
    case KeyType::kIntegers:
      return "list of whole numbers";
    case KeyType::kValues:
      return "list";
    case KeyType::kTable:
      return "table";
    case KeyType::kTables:
      return "list of tables";
  }
  return "";
}

std::string number_text(double value, KeyType type) {
  if (type != KeyType::kReal && std::abs(value) < 1e16) return std::to_string(static_cast<long long>(value));
  return nlohmann::json(value).dump();
}

std::string allowed(const Key& key) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  std::string words;
  for (const std::string& choice : key.choices) words += (words.empty() ? "`\"" : ", `\"") + choice + "\"`";
  if (!words.empty()) add(words);
  const std::string low = std::isfinite(key.min) ? number_text(key.min, key.type) : "";
  const std::string high = std::isfinite(key.max) ? number_text(key.max, key.type) : "";
  if (!low.empty() && !high.empty()) {
    add(key.above_min ? "above " + low + ", at most " + high : low + " to " + high);
  } else if (!low.empty()) {
    add((key.above_min ? "above " : "at least ") + low);
  } else if (!high.empty()) {
    add("at most " + high);
  }
  if (key.type == KeyType::kIntegers || key.type == KeyType::kTables) {
    add(std::to_string(key.min_size) + " to " + std::to_string(key.max_size) + " of them");
  }
  return text;
}

// A cell of a Markdown table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

void add_rows(std::string& text, const std::vector<Key>& keys, const std::string& prefix) {
  for (const Key& key : keys) {
    const std::string standard = key.required                  ? "*required*"
                                 : key.default_value.is_null() ? ""
                                                               : "`" + toml_text(key.default_value) + "`";
    text += "| `" + prefix + key.name + "` | " + type_name(key.type) + " | " + cell(standard) + " | " +
            cell(allowed(key)) + " | " + cell(key.sentence) + " |\n";
    add_rows(text, key.keys, prefix + key.name + (key.type == KeyType::kTables ? "[]." : "."));
  }
}

std::string key_table(const std::vector<Key>& keys) {
  std::string text = "| key | type | default | allowed | meaning |\n| --- | --- | --- | --- | --- |\n";
  add_rows(text, keys, "");
  return text + "\n";
}

std::string kinds(const std::string& section, const std::vector<Kind>& all) {
  std::string text;
  for (const Kind& kind : all) {
    text +=
        "### `kind = \"" + kind.name + "\"` in `[" + section + "]`\n\n" + kind.sentence + "\n\n" + key_table(kind.keys);
  }
  return text;
}

}  // namespace

std::string run_file_reference(const Catalog& catalog) {
  std::string text =
      "# The run file\n\n"
      "<!-- Made by `flowloom check --keys` from the declarations in the code; do not edit. -->\n\n"
      "A run file is TOML. `flowloom check RUN.toml` explains one: every key with its value, and what "
      "follows from it.\n"
      "`--set SECTION.KEY=VALUE` overrides a key from the command line. A key that is not in this list is "
      "refused.\n\n"
      "Everything in `[run]` but the name, and everything in `[theory]`, is the run's identity: fixed once a "
      "directory\n"
      "exists. All other keys may change between starts; each change is logged. `[flow]` and `[train]` belong to a "
      "training\n"
      "from its first step to its last: only `train.stop` (without `decay`) and `train.record_every` may change on the "
      "way, or the training "
      "starts "
      "again\n"
      "in an empty directory.\n\n";
  text += "## `[run]`\n\n" + key_table(run_keys(catalog)) + "Engines:\n\n";
  for (const Kind& engine : catalog.engines) text += "- `\"" + engine.name + "\"`: " + engine.sentence + "\n";
  text +=
      "\n## `[theory]`: what is sampled\n\nIts `kind` chooses the other keys.\n\n" + kinds("theory", catalog.theories);
  text +=
      "## `[flow]`: the model that is trained\n\nIts `kind` chooses the other keys.\n\n" + kinds("flow", catalog.flows);
  text += "## `[train]`\n\n" + key_table(train_keys());
  text += "## `[chain]`\n\n" + key_table(chain_keys());
  text +=
      "## `[study]`, in a file of its own\n\n`flowloom study STUDY.toml` ([training.md](training.md)) reads one "
      "section:\n\n" +
      key_table(study_keys());
  text.pop_back();  // one line end at the end of the file
  return text;
}

}  // namespace flowloom
