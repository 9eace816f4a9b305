#include "client/numbers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace flowloom {
namespace {

std::string not_finite(double value) { return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"; }

std::string written(double value, std::chars_format format, int precision) {
  std::array<char, 1200> buffer;  // the largest double has 309 digits before the point
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, precision).ptr;
  return std::string(buffer.data(), end);
}

std::string fixed(double value, int decimals) {
  const std::string text = written(value, std::chars_format::fixed, std::max(decimals, 0));
  const bool zero = text.find_first_of("123456789") == std::string::npos;
  return zero && text.starts_with('-') ? text.substr(1) : text;
}

std::string shortest(double value) {
  std::array<char, 400> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
  return std::string(buffer.data(), end);
}

// Value and error of a size that needs no exponent.
std::string plain_value_with_error(double value, double error) {
  constexpr int kMostDecimals = 15;
  if (error == 0) return shortest(value) + "(0)";
  int decimals = 1 - static_cast<int>(std::floor(std::log10(error)));
  if (std::round(error * std::pow(10.0, decimals)) >= 100) --decimals;  // 0.0996 is 0.10
  decimals = std::min(decimals, kMostDecimals);
  if (decimals <= 0) {
    const double step = std::pow(10.0, -decimals);
    return fixed(std::round(value / step) * step, 0) + "(" + fixed(std::round(error / step) * step, 0) + ")";
  }
  const double digits = std::round(error * std::pow(10.0, decimals));
  const bool whole = decimals > 1;
  return fixed(value, decimals) + "(" + (whole ? fixed(digits, 0) : fixed(digits / 10.0, 1)) + ")";
}

}  // namespace

std::string value_with_error(double value, double error) {
  if (!std::isfinite(value)) return not_finite(value);
  if (!std::isfinite(error)) return rounded(value, 6) + "(?)";
  error = std::abs(error);
  const double size = std::max(std::abs(value), error);
  const int exponent = size > 0 ? static_cast<int>(std::floor(std::log10(size))) : 0;
  if (exponent >= -4 && exponent < 9) return plain_value_with_error(value, error);
  const long double scale = std::pow(10.0L, static_cast<long double>(exponent));
  return plain_value_with_error(static_cast<double>(value / scale), static_cast<double>(error / scale)) + "e" +
         std::to_string(exponent);
}

std::string rounded(double value, int digits) {
  return std::isfinite(value) ? written(value, std::chars_format::general, digits) : not_finite(value);
}

std::string shown(double value, int digits) { return std::isnan(value) ? "–" : rounded(value, digits); }

std::string exact_number(double value) { return rounded(value, 17); }

std::string with_si_prefix(double value) {
  if (!std::isfinite(value)) return "–";
  const char* const prefixes[] = {"", " k", " M", " G", " T"};
  std::size_t p = 0;
  while (std::abs(value) >= 999.5 && p + 1 < std::size(prefixes)) {
    value /= 1000.0;
    ++p;
  }
  const double size = std::abs(value);
  const int decimals = size >= 99.95 || size == std::floor(size) ? 0 : size >= 9.995 ? 1 : 2;
  return fixed(value, p > 0 && size < 99.95 ? (size >= 9.995 ? 1 : 2) : decimals) + prefixes[p];
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "–";
  const auto total = static_cast<std::uint64_t>(std::min(std::round(seconds), 1e15));
  const auto two = [](std::uint64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (total < 60) return std::to_string(total) + " s";
  if (total < 3600) return std::to_string(total / 60) + " min " + two(total % 60) + " s";
  if (total < 86400) return std::to_string(total / 3600) + " h " + two(total / 60 % 60) + " min";
  return std::to_string(total / 86400) + " d " + std::to_string(total / 3600 % 24) + " h";
}

std::string byte_count(std::uint64_t bytes) {
  const std::string text = with_si_prefix(static_cast<double>(bytes));
  return text + (text.find(' ') == std::string::npos ? " B" : "B");
}

std::string percent(double fraction) { return std::isfinite(fraction) ? fixed(100.0 * fraction, 1) + " %" : "–"; }

std::string abbreviated(const std::string& hex) { return hex.size() > 12 ? hex.substr(0, 12) + "…" : hex; }

}  // namespace flowloom
