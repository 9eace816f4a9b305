#include "client/study.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <ostream>
#include <sstream>
#include <thread>

#include "client/child.h"
#include "client/final_report.h"
#include "client/numbers.h"
#include "client/source.h"
#include "client/text.h"
#include "client/training_summary.h"
#include "flow/catalog.h"
#include "program/program.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;

constexpr char kSeed[] = "run.seed";
constexpr double kTableLevels[] = {0.3, 0.5, 0.7};  // the table says when each ESS was reached

// The section of a study file.
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
                 .choices = {"keep", "drop"}}}},
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

// "gradient=path": a setting as a piece of a directory's name.
std::string piece(const std::string& key, const std::string& value) {
  std::string text = key.substr(key.find('.') + 1) + "=" + value;
  for (char& c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && std::string("=.-_+").find(c) == std::string::npos) c = '_';
  }
  return text;
}

void extend(StudyCell& cell, const std::string& key, const std::string& value) {
  cell.name += (cell.name.empty() ? "" : ",") + piece(key, value);
  cell.settings.emplace_back(key, value);
  cell.overrides.push_back(key + "=" + value);
}

// Every cell once for each value.
std::vector<StudyCell> times(const std::vector<StudyCell>& cells, const std::string& key,
                             const std::vector<std::string>& values) {
  std::vector<StudyCell> product;
  for (const StudyCell& cell : cells) {
    for (const std::string& value : values) {
      product.push_back(cell);
      extend(product.back(), key, value);
    }
  }
  return product;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// The keys in which cells differ, in their order.
std::vector<std::string> keys_of(const std::vector<StudyResult>& results) {
  std::vector<std::string> keys;
  for (const StudyResult& result : results) {
    for (const auto& [key, value] : result.cell.settings) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  return keys;
}

std::string value_of(const StudyCell& cell, const std::string& key) {
  for (const auto& [name, value] : cell.settings) {
    if (name == key) return value;
  }
  return "";
}

const v1::TrainingPoint* last_evaluation(const std::vector<v1::TrainingPoint>& record) {
  for (auto point = record.rbegin(); point != record.rend(); ++point) {
    if (!std::isnan(point->ess())) return &*point;
  }
  return nullptr;
}

// Cells that differ in nothing but the seed, by what they have in common.
std::vector<std::pair<std::string, std::vector<const StudyResult*>>> groups_of(
    const std::vector<StudyResult>& results) {
  std::vector<std::pair<std::string, std::vector<const StudyResult*>>> groups;
  for (const StudyResult& result : results) {
    std::string label;
    for (const auto& [key, value] : result.cell.settings) {
      if (key != kSeed) label += (label.empty() ? "" : ", ") + key.substr(key.find('.') + 1) + " = " + value;
    }
    if (label.empty()) label = "all";
    auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == label; });
    if (found == groups.end()) found = groups.insert(groups.end(), {label, {}});
    found->second.push_back(&result);
  }
  return groups;
}

// Without what would end a text in gnuplot's script.
std::string unquoted(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '"' || c == '`' || c == '\\'; });
  return text;
}

// Mean with its standard error over runs; without an error for a single one.
std::string mean_text(const std::vector<double>& values) {
  if (values.empty()) return "–";
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) square += (value - mean) * (value - mean);
  return values.size() == 1 ? shown(mean, 3) : value_with_error(mean, std::sqrt(square / (n - 1) / n));
}

class StudyRunner {
 public:
  StudyRunner(Study study, const StudyOptions& options, const Console& console)
      : study_(std::move(study)),
        directory_(options.directory.empty() ? std::filesystem::path("studies") / study_.name : options.directory),
        quiet_(options.quiet),
        console_(console) {}

  int run() {
    const Signals signals([this](int count) {
      interrupts_ = count;
      if (count > 1) ::_exit(130);
    });
    make_directory();
    for (std::size_t i = 0; i < study_.cells.size(); ++i) {
      if (is_trained(i)) ++done_;
    }
    say(std::to_string(done_) + " of " + std::to_string(study_.cells.size()) + " trained before");
    train_all();
    if (interrupts_ > 0) {
      console_.err << "Stopped. The same command goes on." << std::endl;
      return 130;
    }
    report();
    for (const std::string& failure : failures_) console_.err << failure << std::endl;
    return failures_.empty() ? 0 : 1;
  }

 private:
  enum class State { kWaiting, kRunning, kTrained, kFailed };

  std::filesystem::path cell_directory(std::size_t i) const { return directory_ / study_.cells[i].name; }

  void make_directory() const {
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error) {
      throw Error(ErrorCode::kUnavailable, "The study's directory '" + directory_.string() + "' cannot be made (" +
                                               error.message() + "); choose another with --dir.");
    }
  }

  void say(const std::string& text) const {
    if (!quiet_) console_.err << study_.name << ": " << text << std::endl;
  }

  // `--set` of a cell, as words of a command.
  std::vector<std::string> settings_of(std::size_t i) const {
    const StudyCell& cell = study_.cells[i];
    std::vector<std::string> words;
    for (const std::string& assignment : cell.overrides) words.insert(words.end(), {"--set", assignment});
    if (cell.follows != StudyCell::kNothing) {
      const std::string from = nlohmann::json(std::filesystem::absolute(cell_directory(cell.follows)).string()).dump();
      const std::string optimiser = study_.keep_optimiser ? "keep" : "drop";
      words.insert(words.end(), {"--set", "train.start={ from = " + from + ", optimiser = \"" + optimiser + "\" }"});
    }
    return words;
  }

  // What says that a cell is done: it was asked for the same.
  std::string mark_of(std::size_t i) const {
    std::string text;
    for (const std::string& word : settings_of(i)) text += word + "\n";
    return text + read_file(study_.run_file);
  }

  bool is_trained(std::size_t i) const {
    const auto mark = cell_directory(i) / "trained";
    return std::filesystem::exists(mark) && read_file(mark) == mark_of(i);
  }

  void train_all() {
    std::vector<State> states(study_.cells.size(), State::kWaiting);
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (is_trained(i)) states[i] = State::kTrained;
    }
    std::map<std::size_t, std::unique_ptr<Child>> running;
    for (bool stopping = false;; std::this_thread::sleep_for(50ms)) {
      if (interrupts_ > 0 && !stopping) {
        stopping = true;
        for (const auto& [i, child] : running) child->signal(SIGINT);
      }
      for (auto at = running.begin(); at != running.end();) {
        if (const auto exit = at->second->poll()) {
          states[at->first] = ended(at->first, *at->second, *exit, stopping);
          at = running.erase(at);
        } else {
          ++at;
        }
      }
      for (std::size_t i = 0; i < states.size() && !stopping && running.size() < study_.parallel; ++i) {
        if (states[i] != State::kWaiting) continue;
        const std::size_t before = study_.cells[i].follows;
        if (before != StudyCell::kNothing && states[before] == State::kFailed) {
          states[i] = State::kFailed;
          failures_.push_back(study_.cells[i].name + ": was not begun, because the training before it failed.");
        } else if (before == StudyCell::kNothing || states[before] == State::kTrained) {
          running.emplace(i, start(i));
          states[i] = State::kRunning;
        }
      }
      if (running.empty() && (stopping || std::find(states.begin(), states.end(), State::kWaiting) == states.end()))
        return;
    }
  }

  std::unique_ptr<Child> start(std::size_t i) const {
    const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
    const std::size_t threads = study_.threads > 0 ? study_.threads : std::max<std::size_t>(1, cores / study_.parallel);
    std::vector<std::string> words{"train",     study_.run_file.string(), "--dir",   cell_directory(i).string(),
                                   "--threads", std::to_string(threads),  "--quiet", "--die-with-parent"};
    for (std::string& word : settings_of(i)) words.push_back(std::move(word));
    return std::make_unique<Child>(program_folder() / "flowloom", words, directory_ / (study_.cells[i].name + ".out"));
  }

  State ended(std::size_t i, const Child& child, const Exit& exit, bool stopping) {
    const std::string& name = study_.cells[i].name;
    if (exit.orderly()) {
      write_file_atomically(cell_directory(i) / "trained", mark_of(i));
      std::filesystem::remove(directory_ / (name + ".out"));
      ++done_;
      say(std::to_string(done_) + " of " + std::to_string(study_.cells.size()) + ": " + name);
      return State::kTrained;
    }
    if (stopping) return State::kWaiting;
    const std::string words = child.last_words();
    failures_.push_back(name + ": " + (words.empty() ? exit.sentence() + "." : words));
    say(failures_.back());
    return State::kFailed;
  }

  void report() const {
    std::vector<StudyResult> results;
    for (std::size_t i = 0; i < study_.cells.size(); ++i) {
      if (!is_trained(i)) continue;
      results.push_back({study_.cells[i], open_store_source(cell_directory(i))->training()});
    }
    write_file_atomically(directory_ / "table.csv", study_table(results));
    write_file_atomically(directory_ / "record.csv", study_record(results));
    plot(results);
    console_.print(study_lines(results));
    console_.out << "\ntables and plots: " << directory_.string() << "/{table.csv,record.csv,plot.svg,plot.png}\n";
  }

  // By gnuplot, from a script that stays for those who want another plot.
  void plot(const std::vector<StudyResult>& results) const {
    std::string data, curves;
    std::size_t block = 0, colour = 0;
    for (const auto& [label, members] : groups_of(results)) {
      ++colour;
      for (const StudyResult* result : members) {
        for (const v1::TrainingPoint& point : result->record) {
          if (std::isnan(point.ess())) continue;
          data += std::to_string(point.step()) + " " + std::to_string(point.samples()) + " " +
                  exact_number(point.core_seconds()) + " " + exact_number(point.ess()) + "\n";
        }
        data += "\n\n";
        curves += (curves.empty() ? "" : ", \\\n    ") + std::string("data index ") + std::to_string(block++) +
                  " using column:4 with linespoints pointtype 7 pointsize 0.4 linetype " + std::to_string(colour) +
                  (result == members.front() ? " title '" + unquoted(label) + "'" : " notitle");
      }
    }
    const std::size_t key_height = 20 * colour + 10, height = 440 + key_height;
    const std::string size = std::to_string(1500) + "," + std::to_string(height);
    const std::string bottom = rounded(static_cast<double>(key_height + 70) / static_cast<double>(height), 3);
    const std::string script =
        "# gnuplot plot.gp, in this directory, draws it again.\n"
        "data = 'plot.dat'  # steps, samples, core-seconds, ESS; a block for each training\n"
        "curves = \"" +
        curves +
        "\"\n"
        "draw = \"set multiplot layout 1,3 margins 0.05,0.98," +
        bottom +
        ",0.96 spacing 0.04; set ylabel 'ESS'; set yrange [0:1]; set logscale x; set format x '%.0s%c'; set grid; "
        "set key at screen 0.5,0.01 center bottom vertical maxcols 1 noenhanced; "
        "column = 1; set xlabel 'steps'; plot @curves; unset key; unset ylabel; "
        "column = 2; set xlabel 'samples'; plot @curves; column = 3; set xlabel 'core-seconds'; plot @curves; "
        "unset multiplot\"\n"
        "set terminal svg size " +
        size +
        " background 'white'; set output 'plot.svg'; eval draw; set output\n"
        "set terminal pngcairo size " +
        size + "; set output 'plot.png'; eval draw; set output\n";
    write_file_atomically(directory_ / "plot.dat", data);
    write_file_atomically(directory_ / "plot.gp", script);
    const std::string command = "cd " + shell_word(directory_.string()) + " && gnuplot plot.gp > plot.log 2>&1";
    if (std::system(command.c_str()) != 0) {  // NOLINT: one fixed command, the directory quoted
      console_.err
          << "No plot: gnuplot is missing or failed (plot.log); install gnuplot-nox and give the command again."
          << std::endl;
    }
  }

  Study study_;
  std::filesystem::path directory_;
  bool quiet_;
  Console console_;
  std::atomic<int> interrupts_ = 0;
  std::size_t done_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace

Study load_study(const std::filesystem::path& file) {
  const Document document = Document::read(file);
  document.refuse_other_sections({"study"});
  const Section section = document.section("study", study_keys());
  Study study;
  study.name = section.text("name");
  study.run_file = std::filesystem::absolute(file).parent_path() / section.text("run");
  study.parallel = section.size("parallel");
  study.threads = section.size("threads");

  study.cells.emplace_back();
  study.cells.back().overrides = section.texts("set");
  if (section.has("cases")) {
    std::vector<StudyCell> cases;
    for (const Section& entry : section.tables("cases")) {
      StudyCell cell = study.cells.front();
      cell.name = piece("case", entry.text("name")).substr(5);
      cell.settings.emplace_back("case", entry.text("name"));
      for (const std::string& assignment : entry.texts("set")) cell.overrides.push_back(assignment);
      cases.push_back(std::move(cell));
    }
    study.cells = std::move(cases);
  }
  if (section.has("vary")) {
    for (const Section& entry : section.tables("vary")) {
      study.cells = times(study.cells, entry.text("key"), entry.texts("values"));
    }
  }
  if (section.has("sequence")) {
    const Section sequence = section.table("sequence");
    study.keep_optimiser = sequence.text("optimiser") == "keep";
    std::vector<StudyCell> chained;
    for (const StudyCell& cell : study.cells) {
      bool first = true;
      for (const std::string& value : sequence.texts("values")) {
        StudyCell next = cell;
        extend(next, sequence.text("key"), value);
        if (!first) {
          for (const std::string& assignment : sequence.texts("set")) next.overrides.push_back(assignment);
          next.follows = chained.size() - 1;
        }
        first = false;
        chained.push_back(std::move(next));
      }
    }
    study.cells = std::move(chained);
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

std::string study_table(const std::vector<StudyResult>& results) {
  const auto keys = keys_of(results);
  std::string text = "training";
  for (const std::string& key : keys) text += "," + key;
  text += ",steps,samples,seconds,core_seconds,ess,ess_from_target";
  for (const double level : kTableLevels)
    text += ",core_seconds_to_" + shown(level, 1) + ",steps_to_" + shown(level, 1);
  text += "\n";
  for (const auto& [cell, record] : results) {
    text += csv_cell(cell.name);
    for (const std::string& key : keys) text += "," + csv_cell(value_of(cell, key));
    const v1::TrainingPoint* last = last_evaluation(record);
    text += last ? "," + std::to_string(last->step()) + "," + std::to_string(last->samples()) + "," +
                       rounded(last->seconds(), 6) + "," + rounded(last->core_seconds(), 6) + "," +
                       exact_number(last->ess()) + "," + exact_number(last->ess_from_target())
                 : ",,,,,,";
    for (const double level : kTableLevels) {
      const auto point = first_reaching(record, level);
      text += point ? "," + rounded(point->core_seconds(), 6) + "," + std::to_string(point->step()) : ",,";
    }
    text += "\n";
  }
  return text;
}

std::string study_record(const std::vector<StudyResult>& results) {
  const auto keys = keys_of(results);
  std::string text = "training";
  for (const std::string& key : keys) text += "," + key;
  text += ",step,samples,seconds,core_seconds,loss,ess,ess_from_target,learning_rate,batch\n";
  for (const auto& [cell, record] : results) {
    std::string prefix = csv_cell(cell.name);
    for (const std::string& key : keys) prefix += "," + csv_cell(value_of(cell, key));
    for (const v1::TrainingPoint& point : record) {
      if (std::isnan(point.ess())) continue;
      text += prefix + "," + std::to_string(point.step()) + "," + std::to_string(point.samples()) + "," +
              exact_number(point.seconds()) + "," + exact_number(point.core_seconds()) + "," +
              exact_number(point.loss()) + "," + exact_number(point.ess()) + "," +
              exact_number(point.ess_from_target()) + "," + exact_number(point.learning_rate()) + "," +
              std::to_string(point.batch()) + "\n";
    }
  }
  return text;
}

std::vector<std::string> study_lines(const std::vector<StudyResult>& results) {
  Table table({Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight, Align::kRight,
               Align::kRight});
  std::vector<std::string> head = {"", "runs", "ESS", "samples", "core-s"};
  for (const double level : kTableLevels) head.push_back("core-s to " + shown(level, 1));
  table.add(head);
  for (const auto& [label, members] : groups_of(results)) {
    std::vector<double> ess, samples, cost;
    for (const StudyResult* result : members) {
      const v1::TrainingPoint* last = last_evaluation(result->record);
      if (!last) continue;
      ess.push_back(last->ess());
      samples.push_back(static_cast<double>(last->samples()));
      cost.push_back(last->core_seconds());
    }
    double drawn = 0;
    for (const double count : samples) drawn += count / static_cast<double>(samples.size());
    std::vector<std::string> row = {label, std::to_string(members.size()), mean_text(ess), with_si_prefix(drawn),
                                    mean_text(cost)};
    for (const double level : kTableLevels) {
      std::vector<double> reached;
      for (const StudyResult* result : members) {
        if (const auto point = first_reaching(result->record, level)) reached.push_back(point->core_seconds());
      }
      const bool some = !reached.empty() && reached.size() < members.size();
      row.push_back(mean_text(reached) + (some ? " in " + std::to_string(reached.size()) : ""));
    }
    table.add(row);
  }
  return table.lines();
}

int run_study(const StudyOptions& options, const Console& console) {
  return StudyRunner(load_study(options.study_file), options, console).run();
}

}  // namespace flowloom
