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
constexpr double kSamplesLevel = 0.5;               // and after how many samples this one

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
      if (key == kSeedKey) continue;
      label += (label.empty() ? "" : ", ") + (key == "case" ? value : key.substr(key.find('.') + 1) + " = " + value);
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

struct Mean {
  double value = 0;
  double error = 0;  // standard error; zero for a single value
};
Mean mean_of(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, square = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) square += (value - mean) * (value - mean);
  return {mean, values.size() < 2 ? 0 : std::sqrt(square / (n - 1) / n)};
}

std::string mean_text(const std::vector<double>& values) {
  if (values.empty()) return "–";
  const Mean mean = mean_of(values);
  return mean.error == 0 ? shown(mean.value, 3) : value_with_error(mean.value, mean.error);
}

// Lines of plot.dat for runs that differ in the seed: their means at the steps where all of them were evaluated.
std::string plot_lines(const std::vector<const StudyResult*>& members) {
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

// A head, then a row for each group; of times to an ESS the mean over those that reached it ("in 2": of the runs).
std::vector<std::vector<std::string>> summary_rows(const std::vector<StudyResult>& results) {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string>& head = rows.emplace_back();
  head = {"", "runs", "ESS", "k samples", "core-s"};
  for (const double level : kTableLevels) head.push_back("core-s to " + shown(level, 1));
  head.push_back("k samples to " + shown(kSamplesLevel, 1));
  for (const auto& [label, members] : groups_of(results)) {
    // Means over the runs in which `number` finds something.
    const auto mean = [&, &runs = members](auto number) {
      std::vector<double> values;
      for (const StudyResult* result : runs) {
        if (const std::optional<double> value = number(result->record)) values.push_back(*value);
      }
      const bool some = !values.empty() && values.size() < runs.size();
      return mean_text(values) + (some ? " in " + std::to_string(values.size()) : "");
    };
    const auto at_end = [&](auto field) {
      return mean([&](const auto& record) {
        const v1::TrainingPoint* last = last_evaluation(record);
        return last ? std::optional<double>(field(*last)) : std::nullopt;
      });
    };
    const auto at_level = [&](double level, auto field) {
      return mean([&](const auto& record) {
        const auto point = first_reaching(record, level);
        return point ? std::optional<double>(field(*point)) : std::nullopt;
      });
    };
    const auto core_seconds = [](const v1::TrainingPoint& point) { return point.core_seconds(); };
    const auto samples = [](const v1::TrainingPoint& point) { return 1e-3 * static_cast<double>(point.samples()); };
    std::vector<std::string>& row = rows.emplace_back();
    row = {label, std::to_string(members.size()), at_end([](const auto& point) { return point.ess(); }),
           at_end(samples), at_end(core_seconds)};
    for (const double level : kTableLevels) row.push_back(at_level(level, core_seconds));
    row.push_back(at_level(kSamplesLevel, samples));
  }
  return rows;
}

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

std::vector<std::string> study_lines(const std::vector<StudyResult>& results) {
  const auto rows = summary_rows(results);
  std::vector<Align> columns(rows.front().size(), Align::kRight);
  columns.front() = Align::kLeft;
  Table table(columns);
  for (const auto& row : rows) table.add(row);
  return table.lines();
}

std::string study_markdown(const std::vector<StudyResult>& results) {
  const auto rows = summary_rows(results);
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

StudyPlot study_plot(const std::vector<StudyResult>& results) {
  std::string data, curves;
  std::size_t count = 0;
  for (const auto& [label, members] : groups_of(results)) {
    const std::string lines = plot_lines(members);
    if (lines.empty()) continue;
    data += lines + "\n\n";
    curves += (count == 0 ? "" : ", \\\n    ") + std::string("data index ") + std::to_string(count) +
              " using column:4:5 with yerrorlines pointtype 7 pointsize 0.4 linetype " + std::to_string(count + 1) +
              " dashtype " + std::to_string(1 + count / kColours) + " title '" + unquoted(label) + "'";
    ++count;
  }
  const std::size_t key_height = 20 * count + 10, height = 440 + key_height;
  const std::string size = std::to_string(1500) + "," + std::to_string(height);
  const std::string bottom = rounded(static_cast<double>(key_height + 70) / static_cast<double>(height), 3);
  const std::string script =
      "# gnuplot plot.gp, in this directory, draws it again.\n"
      "data = 'plot.dat'  # steps, samples, core-seconds, ESS, its error: means over seeds; a block for each curve\n"
      "curves = \"" +
      curves +
      "\"\n"
      "set linetype 5 linecolor rgb '#8c564b'  # yellow is hard to see\n"
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
  return {data, script};
}

}  // namespace flowloom
