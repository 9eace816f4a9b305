#include "client/study.h"

#include <cctype>
#include <set>

#include "flow/catalog.h"
#include "spec/error.h"

namespace flowloom {
namespace {

// `text` as a piece of a directory's name: whatever else stands between words becomes one '_'.
std::string piece(const std::string& text) {
  std::string name;
  bool gap = false;
  for (const char c : text) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) || std::string("=-+").find(c) != std::string::npos;
    if (kept || (c == '.' && !name.empty())) {
      if (gap && c != '=' && !name.empty() && name.back() != '=') name += '_';
      name += c;
      gap = false;
    } else {
      gap = true;
    }
  }
  return name;
}

void name_setting(StudyCell& cell, const std::string& key, const std::string& value) {
  cell.name += (cell.name.empty() ? "" : ",") + piece(key.substr(key.find('.') + 1) + "=" + value);
  cell.settings.emplace_back(key, value);
}

void set(StudyCell& cell, const std::string& key, const std::string& value) {
  name_setting(cell, key, value);
  cell.overrides.push_back(key + "=" + value);
}

// Every cell once for each value.
std::vector<StudyCell> times(const std::vector<StudyCell>& cells, const std::string& key,
                             const std::vector<std::string>& values) {
  std::vector<StudyCell> product;
  for (const StudyCell& cell : cells) {
    for (const std::string& value : values) {
      product.push_back(cell);
      set(product.back(), key, value);
    }
  }
  return product;
}

// Instead of every cell, a chain of them.
std::vector<StudyCell> chains(const std::vector<StudyCell>& cells, const Section& sequence) {
  const bool compare = sequence.flag("compare");
  std::vector<StudyCell> chained;
  for (const StudyCell& cell : cells) {
    std::size_t previous = StudyCell::kNothing;
    for (const std::string& value : sequence.texts("values")) {
      StudyCell next = cell;
      set(next, sequence.text("key"), value);
      StudyCell scratch = next;
      if (compare) name_setting(scratch, "start", "random");
      if (previous == StudyCell::kNothing || compare) chained.push_back(std::move(scratch));
      if (previous != StudyCell::kNothing) {
        if (compare) name_setting(next, "start", "previous");
        for (const std::string& assignment : sequence.texts("set")) next.overrides.push_back(assignment);
        next.follows = previous;
        chained.push_back(std::move(next));
      }
      previous = chained.size() - 1;
    }
  }
  return chained;
}

}  // namespace

const std::vector<Key>& study_keys() {
  static const std::vector<Key> keys = {
      {.name = "name", .type = KeyType::kText, .sentence = "Also names the study's directory.", .required = true},
      {.name = "run", .type = KeyType::kText, .sentence = "The run file, relative to this one.", .required = true},
      {.name = "set",
       .type = KeyType::kValues,
       .sentence = "What is set for every training: \"train.batch=256\".",
       .default_value = nlohmann::json::array()},
      {.name = "cases",
       .type = KeyType::kTables,
       .sentence = "Trainings that differ in several keys at once.",
       .keys = {{.name = "name", .type = KeyType::kText, .sentence = "Of the case.", .required = true},
                {.name = "set", .type = KeyType::kValues, .sentence = "Its settings.", .required = true}},
       .max_size = 1000},
      {.name = "vary",
       .type = KeyType::kTables,
       .sentence = "Every combination of the values of these keys (and of the cases) is one training.",
       .keys = {{.name = "key", .type = KeyType::kText, .sentence = "Any key: \"train.gradient\".", .required = true},
                {.name = "values",
                 .type = KeyType::kValues,
                 .sentence = "Its values.",
                 .required = true,
                 .min_size = 1,
                 .max_size = 1000}},
       .max_size = 16},
      {.name = "sequence",
       .type = KeyType::kTable,
       .sentence =
           "Instead of single trainings, chains of them: each value's starts from the weights of the one before.",
       .keys = {{.name = "key", .type = KeyType::kText, .sentence = "A coupling: \"theory.lambda\".", .required = true},
                {.name = "values",
                 .type = KeyType::kValues,
                 .sentence = "Its values, in their order.",
                 .required = true,
                 .min_size = 2,
                 .max_size = 1000},
                {.name = "set",
                 .type = KeyType::kValues,
                 .sentence = "What is set for all but the first: fewer steps, a lower rate.",
                 .default_value = nlohmann::json::array()},
                {.name = "optimiser",
                 .type = KeyType::kText,
                 .sentence = "keep: its moments go on. drop: they start from zero.",
                 .default_value = "keep",
                 .choices = {"keep", "drop"}},
                {.name = "compare",
                 .type = KeyType::kFlag,
                 .sentence = "Trains each later value from random weights as well, with the first one's settings.",
                 .default_value = false}}},
      {.name = "across",
       .type = KeyType::kText,
       .sentence = "One of the keys: its values are columns of the table and panels of the plot.",
       .default_value = ""},
      {.name = "parallel",
       .type = KeyType::kInteger,
       .sentence = "Trainings at a time.",
       .default_value = 1,
       .min = 1,
       .max = 1024},
      {.name = "threads",
       .type = KeyType::kInteger,
       .sentence = "Threads of each training; 0: the cores, shared out.",
       .default_value = 0,
       .min = 0,
       .max = 1024},
  };
  return keys;
}

Study load_study(const std::filesystem::path& file) {
  const Document document = Document::read(file);
  document.refuse_other_sections({"study"});
  const Section section = document.section("study", study_keys());
  Study study;
  study.name = section.name("name");
  study.run_file = std::filesystem::absolute(file).parent_path() / section.text("run");
  study.parallel = section.size("parallel");
  study.threads = section.size("threads");

  study.cells.emplace_back();
  study.cells.back().overrides = section.texts("set");
  if (section.has("cases")) {
    std::vector<StudyCell> cases;
    for (const Section& entry : section.tables("cases")) {
      StudyCell cell = study.cells.front();
      cell.name = piece(entry.text("name"));
      cell.settings.emplace_back("case", entry.text("name"));
      for (const std::string& assignment : entry.texts("set")) cell.overrides.push_back(assignment);
      cases.push_back(std::move(cell));
    }
    study.cells = std::move(cases);
  }
  std::set<std::string> varied;
  const auto vary_once = [&](const Section& entry) {
    if (varied.insert(entry.text("key")).second) return;
    throw Error(ErrorCode::kInvalidInput, entry.where("key") + ": '" + entry.text("key") + "' is varied twice.");
  };
  if (section.has("vary")) {
    for (const Section& entry : section.tables("vary")) {
      vary_once(entry);
      study.cells = times(study.cells, entry.text("key"), entry.texts("values"));
    }
  }
  if (section.has("sequence")) {
    const Section sequence = section.table("sequence");
    vary_once(sequence);
    if (sequence.text("key") == kSeedKey) {
      throw Error(ErrorCode::kInvalidInput,
                  sequence.where("key") + ": seeds that differ are independent trainings; vary them.");
    }
    study.keep_optimiser = sequence.text("optimiser") == "keep";
    study.cells = chains(study.cells, sequence);
  }
  study.across = section.text("across");
  if (!study.across.empty() && !varied.contains(study.across)) {
    throw Error(ErrorCode::kInvalidInput, section.where("across") + ": '" + study.across + "' is not varied here.");
  }
  for (std::size_t i = 0; i < study.cells.size(); ++i) {
    StudyCell& cell = study.cells[i];
    if (cell.name.empty()) cell.name = "all";
    for (std::size_t k = 0; k < i; ++k) {
      if (study.cells[k].name != cell.name) continue;
      throw Error(ErrorCode::kInvalidInput, file.string() + ": two trainings have the name '" + cell.name +
                                                "'; give the cases other names, or the values only once.");
    }
    try {
      load_run_file(study.run_file, cell.overrides);
    } catch (const Error& error) {
      throw Error(error.code(), file.string() + ": training '" + cell.name + "': " + error.what());
    }
  }
  return study;
}

}  // namespace flowloom
