#include "client/study_runner.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <ostream>
#include <thread>

#include "client/child.h"
#include "client/source.h"
#include "client/study.h"
#include "client/study_report.h"
#include "flow/catalog.h"
#include "program/directory_lock.h"
#include "program/program.h"
#include "spec/error.h"
#include "spec/files.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;

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
    const DirectoryLock lock(directory_, "Another 'flowloom study' works in '" + directory_.string() +
                                             "'; wait for it, or choose "
                                             "another directory with --dir.");
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
    try {
      make_directories(directory_);
    } catch (const std::filesystem::filesystem_error& error) {
      throw Error(ErrorCode::kUnavailable, "The study's directory '" + directory_.string() + "' cannot be made (" +
                                               error.code().message() + "); choose another with --dir.");
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
      words.insert(words.end(), {"--set", "train.start={ from = " + from + ", optimiser = \"" + optimiser() + "\" }"});
    }
    return words;
  }

  const char* optimiser() const { return study_.keep_optimiser ? "keep" : "drop"; }

  // What says that a cell is done: it was asked for the same. No comment of the run file and no place of the study
  // matters.
  std::string mark_of(std::size_t i) const {
    const StudyCell& cell = study_.cells[i];
    std::string text = load_run_file(study_.run_file, cell.overrides).toml;
    if (cell.follows != StudyCell::kNothing) {
      text += "# starts from " + study_.cells[cell.follows].name + ", " + to_hex(sha256(mark_of(cell.follows))) +
              ", optimiser: " + optimiser() + "\n";
    }
    return text;
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
          try {
            running.emplace(i, start(i));
            states[i] = State::kRunning;
          } catch (const Error& error) {
            states[i] = State::kFailed;
            failures_.push_back(study_.cells[i].name + ": " + error.what());
          }
        }
      }
      if (running.empty() && (stopping || std::find(states.begin(), states.end(), State::kWaiting) == states.end()))
        return;
    }
  }

  // A training begins with its predecessor's weights once: if that was trained anew since, going on would mix two.
  void refuse_changed_start(std::size_t i) const {
    const auto file = cell_directory(i) / "begun";
    const std::string mark = to_hex(sha256(mark_of(study_.cells[i].follows))) + "\n";
    if (!std::filesystem::exists(file)) {
      make_directories(cell_directory(i));
      write_file_atomically(file, mark);
    } else if (read_file(file) != mark) {
      throw Error(ErrorCode::kConflict, "the training that it starts from has changed since it was begun; remove '" +
                                            cell_directory(i).string() + "' to train it again.");
    }
  }

  std::unique_ptr<Child> start(std::size_t i) const {
    if (study_.cells[i].follows != StudyCell::kNothing) refuse_changed_start(i);
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

  // Cells that are not trained have a row without figures; if there is nothing else, what an earlier call wrote stays.
  void report() const {
    std::vector<StudyResult> results;
    std::size_t trained = 0;
    for (std::size_t i = 0; i < study_.cells.size(); ++i) {
      results.push_back({study_.cells[i], {}});
      if (!is_trained(i)) continue;
      results.back().record = open_store_source(cell_directory(i))->training();
      ++trained;
    }
    if (trained == 0) {
      console_.err << "Nothing is trained: there is no table to write." << std::endl;
      return;
    }
    write_file_atomically(directory_ / "table.csv", study_table(results));
    write_file_atomically(directory_ / "table.md", study_markdown(results, study_.across));
    write_file_atomically(directory_ / "record.csv", study_record(results));
    const bool drawn = plot(results);
    console_.print(study_lines(results, study_.across));
    console_.out << "\nwritten: " << directory_.string() << "/{table.csv,table.md,record.csv"
                 << (drawn ? ",plot.svg,plot.png" : "") << "}\n";
  }

  // By gnuplot, from a script that stays for those who want another plot.
  bool plot(const std::vector<StudyResult>& results) const {
    const StudyPlot files = study_plot(results, study_.across);
    write_file_atomically(directory_ / "plot.dat", files.data);
    write_file_atomically(directory_ / "plot.gp", files.script);
    std::string problem;
    try {
      Child gnuplot("gnuplot", {"plot.gp"}, directory_ / "plot.log", directory_);
      const Exit exit = gnuplot.wait();
      if (!exit.orderly()) problem = "gnuplot " + exit.sentence() + ", saying: " + gnuplot.last_words();
    } catch (const Error& error) {
      problem = std::string(error.what()) + " Install gnuplot-nox and give the command again.";
    }
    if (!problem.empty()) console_.err << "No plot: " << problem << std::endl;
    return problem.empty();
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

int run_study(const StudyOptions& options, const Console& console) {
  return StudyRunner(load_study(options.study_file), options, console).run();
}

}  // namespace flowloom
