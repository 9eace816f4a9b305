#include "client/study_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "client/numbers.h"
#include "client/text.h"
#include "client/training_summary.h"

namespace flowloom {
namespace {

constexpr std::size_t kColours = 8;                 // of gnuplot; then they come again, dashed
constexpr double kTableLevels[] = {0.3, 0.5, 0.7};  // the table says when each ESS was reached
constexpr double kMainLevel = 0.5;                  // and after how many samples this one

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

using Members = std::vector<const StudyResult*>;
using Groups = std::vector<std::pair<std::string, Members>>;

Members& members_of(Groups& groups, const std::string& label) {
  auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == label; });
  if (found == groups.end()) found = groups.insert(groups.end(), {label, {}});
  return found->second;
}

// Results that differ in nothing but the seed and `across`, by what they have in common.
Groups groups_of(const std::vector<StudyResult>& results, const std::string& across) {
  Groups groups;
  for (const StudyResult& result : results) {
    std::string label;
    for (const auto& [key, value] : result.cell.settings) {
      if (key == kSeedKey || key == across) continue;
      label += (label.empty() ? "" : ", ") + (key == "case" ? value : key.substr(key.find('.') + 1) + " = " + value);
    }
    members_of(groups, label.empty() ? "all" : label).push_back(&result);
  }
  return groups;
}

// By the value of a key.
Groups by_value(const Members& results, const std::string& key) {
  Groups groups;
  for (const StudyResult* result : results) members_of(groups, value_of(result->cell, key)).push_back(result);
  return groups;
}

Members all_of(const std::vector<StudyResult>& results) {
  Members all;
  for (const StudyResult& result : results) all.push_back(&result);
  return all;
}

// Without what would end a text in gnuplot's script.
std::string unquoted(std::string text) {
  std::erase_if(text, [](char c) { return c == '\'' || c == '"' || c == '`' || c == '\\'; });
  return text;
}

struct Mean {
  double value = 0;
  double error = 0;  // standard error; zero for a single value, or where all are the same
};
Mean mean_of(const std::vector<double>& values) {
  if (std::ranges::count(values, values.front()) == std::ssize(values)) return {values.front(), 0};  // no rounding
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) square += (value - mean) * (value - mean);
  return {mean, std::sqrt(square / (n - 1) / n)};
}

std::string mean_text(const std::vector<double>& values) {
  if (values.empty()) return "–";
  const Mean mean = mean_of(values);
  return mean.error == 0 ? shown(mean.value, 3) : value_with_error(mean.value, mean.error);
}

// Lines of plot.dat for runs that differ in the seed: their means at the steps where all of them were evaluated.
std::string plot_lines(const Members& members) {
  struct Values {
    std::vector<double> samples, core_seconds, ess;
  };
  std::map<std::uint64_t, Values> steps;
  std::size_t trained = 0;
  for (const StudyResult* result : members) {
    if (last_evaluation(result->record)) ++trained;
    for (const v1::TrainingPoint& point : result->record) {
      if (std::isnan(point.ess())) continue;
      Values& values = steps[point.step()];
      values.samples.push_back(static_cast<double>(point.samples()));
      values.core_seconds.push_back(point.core_seconds());
      values.ess.push_back(point.ess());
    }
  }
  std::string lines;
  for (const auto& [step, values] : steps) {
    if (values.ess.size() < trained) continue;
    const Mean ess = mean_of(values.ess);
    lines += std::to_string(step);
    for (const double x : {mean_of(values.samples).value, mean_of(values.core_seconds).value, ess.value, ess.error}) {
      lines += " " + exact_number(x);
    }
    lines += "\n";
  }
  return lines;
}

double core_seconds(const v1::TrainingPoint& point) { return point.core_seconds(); }
double thousand_samples(const v1::TrainingPoint& point) { return 1e-3 * static_cast<double>(point.samples()); }
double ess(const v1::TrainingPoint& point) { return point.ess(); }

// The mean of a field at the point that `find` finds in a record, over the runs where there is one ("in 2": of the
// runs).
template <class Find>
std::string mean_over(const Members& runs, Find find, double (*field)(const v1::TrainingPoint&)) {
  std::vector<double> values;
  for (const StudyResult* result : runs) {
    if (const auto point = find(result->record)) values.push_back(field(*point));
  }
  const bool some = !values.empty() && values.size() < runs.size();
  return mean_text(values) + (some ? " in " + std::to_string(values.size()) : "");
}
std::string at_end(const Members& runs, double (*field)(const v1::TrainingPoint&)) {
  return mean_over(runs, last_evaluation, field);
}
std::string at_level(const Members& runs, double level, double (*field)(const v1::TrainingPoint&)) {
  return mean_over(runs, [&](const auto& record) { return first_reaching(record, level); }, field);
}

using Rows = std::vector<std::vector<std::string>>;

// A head, then a row for each group.
Rows summary_rows(const std::vector<StudyResult>& results) {
  Rows rows;
  std::vector<std::string>& head = rows.emplace_back();
  head = {"", "runs", "ESS", "k samples", "core-s"};
  for (const double level : kTableLevels) head.push_back("core-s to " + shown(level, 1));
  head.push_back("k samples to " + shown(kMainLevel, 1));
  for (const auto& [label, members] : groups_of(results, "")) {
    std::vector<std::string>& row = rows.emplace_back();
    row = {label, std::to_string(members.size()), at_end(members, ess), at_end(members, thousand_samples),
           at_end(members, core_seconds)};
    for (const double level : kTableLevels) row.push_back(at_level(members, level, core_seconds));
    row.push_back(at_level(members, kMainLevel, thousand_samples));
  }
  return rows;
}

// The same with columns for each value of a key.
Rows summary_rows_across(const std::vector<StudyResult>& results, const std::string& across) {
  const Groups columns = by_value(all_of(results), across);
  Rows rows;
  std::vector<std::string>& head = rows.emplace_back();
  head = {across.substr(across.find('.') + 1) + " ="};
  for (const auto& [value, members] : columns) {
    head.push_back(value + " ESS");
    head.push_back("core-s");
    head.push_back("to " + shown(kMainLevel, 1));
  }
  for (const auto& [label, members] : groups_of(results, across)) {
    Groups values = by_value(members, across);
    std::vector<std::string>& row = rows.emplace_back();
    row = {label};
    for (const auto& column : columns) {
      const Members& runs = members_of(values, column.first);
      row.push_back(at_end(runs, ess));
      row.push_back(at_end(runs, core_seconds));
      row.push_back(at_level(runs, kMainLevel, core_seconds));
    }
  }
  return rows;
}

Rows rows_of(const std::vector<StudyResult>& results, const std::string& across) {
  return across.empty() ? summary_rows(results) : summary_rows_across(results, across);
}

// One panel of a plot: ESS against a column of plot.dat.
struct Panel {
  std::string title, x_label, curves;
  int column;
};

}  // namespace

std::string study_table(const std::vector<StudyResult>& results) {
  const auto keys = keys_of(results);
  std::string text = "training";
  for (const std::string& key : keys) text += "," + key;
  text += ",steps,samples,seconds,core_seconds,ess,ess_from_target,skipped";
  for (const double level : kTableLevels)
    text += ",core_seconds_to_" + shown(level, 1) + ",samples_to_" + shown(level, 1) + ",steps_to_" + shown(level, 1);
  text += "\n";
  for (const auto& [cell, record] : results) {
    text += csv_cell(cell.name);
    for (const std::string& key : keys) text += "," + csv_cell(value_of(cell, key));
    const v1::TrainingPoint* last = last_evaluation(record);
    text += last ? "," + std::to_string(last->step()) + "," + std::to_string(last->samples()) + "," +
                       rounded(last->seconds(), 6) + "," + rounded(last->core_seconds(), 6) + "," +
                       exact_number(last->ess()) + "," + exact_number(last->ess_from_target()) + "," +
                       std::to_string(last->skipped())
                 : ",,,,,,,";
    for (const double level : kTableLevels) {
      const auto point = first_reaching(record, level);
      text += point ? "," + rounded(point->core_seconds(), 6) + "," + std::to_string(point->samples()) + "," +
                          std::to_string(point->step())
                    : ",,,";
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

std::vector<std::string> study_lines(const std::vector<StudyResult>& results, const std::string& across) {
  const Rows rows = rows_of(results, across);
  std::vector<Align> columns(rows.front().size(), Align::kRight);
  columns.front() = Align::kLeft;
  Table table(columns);
  for (const auto& row : rows) table.add(row);
  return table.lines();
}

std::string study_markdown(const std::vector<StudyResult>& results, const std::string& across) {
  const Rows rows = rows_of(results, across);
  std::string text;
  for (const auto& row : rows) {
    for (const std::string& cell : row) text += "| " + cell + " ";
    text += "|\n";
    if (&row == &rows.front()) {
      for (std::size_t i = 0; i < row.size(); ++i) text += i == 0 ? "| --- " : "| ---: ";
      text += "|\n";
    }
  }
  return text;
}

StudyPlot study_plot(const std::vector<StudyResult>& results, const std::string& across) {
  std::string data;
  int blocks = 0;
  std::vector<Panel> panels;
  std::vector<std::string> shown_values;  // those of which something is trained
  for (const auto& [value, members] : by_value(all_of(results), across)) {
    const auto trained = [](const StudyResult* result) { return last_evaluation(result->record) != nullptr; };
    if (std::none_of(members.begin(), members.end(), trained)) continue;
    shown_values.push_back(value);
    panels.push_back({unquoted(value), "core-seconds", "", 3});
  }
  const Groups groups = groups_of(results, across);
  for (std::size_t number = 0; number < groups.size(); ++number) {
    const auto& [label, members] = groups[number];
    Groups values = by_value(members, across);
    const std::string style = " linetype " + std::to_string(number + 1) + " dashtype " +
                              std::to_string(1 + number / kColours) + " title '" + unquoted(label) + "'";
    for (std::size_t panel = 0; panel < panels.size(); ++panel) {
      std::string& curves = panels[panel].curves;
      const std::string lines = plot_lines(members_of(values, shown_values[panel]));
      curves += curves.empty() ? "" : ", \\\n    ";
      if (lines.empty()) {
        curves += "keyentry with lines" + style;
        continue;
      }
      data += lines + "\n\n";
      curves += "data index " + std::to_string(blocks++) +
                " using column:4:5 with yerrorlines pointtype 7 pointsize 0.4" + style;
    }
  }
  if (across.empty()) {
    panels.resize(3, panels.front());
    panels[0].x_label = "steps", panels[0].column = 1;
    panels[1].x_label = "samples", panels[1].column = 2;
  }
  const std::size_t columns = std::min<std::size_t>(panels.size(), 3), rows = (panels.size() + columns - 1) / columns;
  const std::size_t key_height = 20 * groups.size() + 10, height = 440 * rows + key_height;
  const std::string size = std::to_string(500 * columns) + "," + std::to_string(height);
  const std::string bottom = rounded(static_cast<double>(key_height + 70) / static_cast<double>(height), 3);
  std::string definitions, plots;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const std::string curves = "curves" + std::to_string(i + 1);
    definitions += curves + " = \"" + panels[i].curves + "\"\n";
    plots += std::string(i == 1 ? "unset key; " : "") + (i % columns == 0 ? "set" : "unset") + " ylabel" +
             (i % columns == 0 ? " 'ESS'; " : "; ") + "column = " + std::to_string(panels[i].column) + "; set title '" +
             panels[i].title + "' noenhanced; set xlabel '" + panels[i].x_label + "'; plot @" + curves + "; ";
  }
  const std::string script =
      "# gnuplot plot.gp, in this directory, draws it again.\n"
      "data = 'plot.dat'  # steps, samples, core-seconds, ESS, its error: means over seeds; a block for each curve\n" +
      definitions +
      "set linetype 5 linecolor rgb '#8c564b'  # yellow is hard to see\n"
      "draw = \"set multiplot layout " +
      std::to_string(rows) + "," + std::to_string(columns) + " margins " +
      rounded(0.15 / static_cast<double>(columns), 3) + ",0.98," + bottom +
      ",0.96 spacing 0.04,0.12; set yrange [0:1]; set logscale x; set format x '%.0s%c'; set grid; "
      "set key at screen 0.5,0.01 center bottom vertical maxcols 1 noenhanced; " +
      plots +
      "unset multiplot\"\n"
      "set terminal svg size " +
      size +
      " background 'white'; set output 'plot.svg'; eval draw; set output\n"
      "set terminal pngcairo size " +
      size + "; set output 'plot.png'; eval draw; set output\n";
  return {data, script};
}

}  // namespace flowloom
