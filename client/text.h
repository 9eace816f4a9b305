// Texts for a terminal: how wide they are, cut and padded by display columns, and safe to print. Pure.
//
// Columns are counted per code point: combining marks take none, East Asian wide characters and emoji two,
// all others one. Texts from elsewhere (names of workers, sentences of a peer) pass through `printable`
// before they reach a terminal, so that nobody can send it control sequences.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

std::size_t display_width(std::string_view utf8);

// Control characters and bytes that are no UTF-8 become '?'.
std::string printable(std::string_view utf8);

// At most `columns` columns; what is cut ends in "…". Printable.
std::string truncated(std::string_view utf8, std::size_t columns);

enum class Align { kLeft, kRight };

// Blanks up to `columns`; a longer text stays as it is.
std::string padded(std::string_view utf8, std::size_t columns, Align align = Align::kLeft);

// A progress bar of `columns` columns; `fraction` is clamped to [0, 1], NaN is empty.
std::string bar(double fraction, std::size_t columns);

// Rows of texts in aligned columns, two blanks apart.
class Table {
 public:
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}

  // A row may have fewer cells than there are columns.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  // Each line begins with `indent` and ends without blanks.
  std::vector<std::string> lines(std::string_view indent = "") const;

 private:
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// How a shell reads a path as one word.
std::string shell_word(const std::string& text);

}  // namespace flowloom
