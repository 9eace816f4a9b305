#include "client/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace flowloom {
namespace {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

// The code point that `text` begins with; overlong forms, surrogates and stray bytes are invalid, one byte each.
CodePoint first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xf0 && lead < 0xf8 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
  if (length == 0 || lead >= 0xf8 || text.size() < length) return {};
  std::uint32_t value = lead & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3f);
  }
  constexpr std::array<std::uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {};
  return {value, length, true};
}

bool is_control(std::uint32_t c) {
  // C0, DEL, C1, and the marks that reorder a line.
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
         c == 0x2028 || c == 0x2029;
}

struct Range {
  std::uint32_t first, last;
};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, std::uint32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](const Range& r) { return r.first <= c && c <= r.last; });
}

std::size_t width_of(const CodePoint& point) {
  static constexpr std::array kZero{Range{0x300, 0x36f},   Range{0x483, 0x489},   Range{0x591, 0x5bd},
                                    Range{0x610, 0x61a},   Range{0x64b, 0x65f},   Range{0x1ab0, 0x1aff},
                                    Range{0x1dc0, 0x1dff}, Range{0x200b, 0x200f}, Range{0x20d0, 0x20f0},
                                    Range{0xfe00, 0xfe0f}, Range{0xfe20, 0xfe2f}, Range{0xfeff, 0xfeff}};
  static constexpr std::array kTwo{Range{0x1100, 0x115f},   Range{0x2e80, 0x303e},   Range{0x3041, 0xa4cf},
                                   Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},   Range{0xfe30, 0xfe6f},
                                   Range{0xff00, 0xff60},   Range{0xffe0, 0xffe6},   Range{0x1f300, 0x1f64f},
                                   Range{0x1f680, 0x1f6ff}, Range{0x1f900, 0x1f9ff}, Range{0x20000, 0x3fffd}};
  if (!point.valid) return 1;
  if (within(kZero, point.value)) return 0;
  return within(kTwo, point.value) ? 2 : 1;
}

}  // namespace

std::size_t display_width(std::string_view utf8) {
  std::size_t width = 0;
  while (!utf8.empty()) {
    const CodePoint point = first_of(utf8);
    width += width_of(point);
    utf8.remove_prefix(point.bytes);
  }
  return width;
}

std::string printable(std::string_view utf8) {
  std::string text;
  while (!utf8.empty()) {
    const CodePoint point = first_of(utf8);
    if (!point.valid || is_control(point.value)) {
      text += '?';
    } else {
      text += utf8.substr(0, point.bytes);
    }
    utf8.remove_prefix(point.bytes);
  }
  return text;
}

std::string truncated(std::string_view utf8, std::size_t columns) {
  const std::string text = printable(utf8);
  if (display_width(text) <= columns) return text;
  if (columns == 0) return "";
  std::size_t width = 0, bytes = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const CodePoint point = first_of(rest);
    if (width + width_of(point) > columns - 1) break;
    width += width_of(point);
    bytes += point.bytes;
    rest.remove_prefix(point.bytes);
  }
  return text.substr(0, bytes) + "…";
}

std::string padded(std::string_view utf8, std::size_t columns, Align align) {
  const std::size_t width = display_width(utf8);
  const std::string blanks(width < columns ? columns - width : 0, ' ');
  return align == Align::kLeft ? std::string(utf8) + blanks : blanks + std::string(utf8);
}

std::string bar(double fraction, std::size_t columns) {
  const double clamped = std::isnan(fraction) ? 0.0 : std::clamp(fraction, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(clamped * static_cast<double>(columns));
  std::string text;
  for (std::size_t i = 0; i < columns; ++i) text += i < full ? "█" : "░";
  return text;
}

std::vector<std::string> Table::lines(std::string_view indent) const {
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < std::min(row.size(), widths.size()); ++c) {
      widths[c] = std::max(widths[c], display_width(row[c]));
    }
  }
  std::vector<std::string> lines;
  for (const auto& row : rows_) {
    std::string line(indent);
    for (std::size_t c = 0; c < std::min(row.size(), widths.size()); ++c) {
      line += (c > 0 ? "  " : "") + padded(row[c], widths[c], columns_[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string shell_word(const std::string& text) {
  constexpr char kPlain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace flowloom
