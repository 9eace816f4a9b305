// How numbers are written, for people and for programs. Pure; independent of the locale.
#pragma once

#include <cstdint>
#include <string>

namespace flowloom {

// The usual notation of a value with its error, two digits of the error: 0.7451(25), 123.4(1.2), 1230(120),
// 1.2345(34)e-12. An error of exactly zero is "(0)", one that is not finite "(?)"; a value that is not finite
// stands alone: "nan".
std::string value_with_error(double value, double error);

// `digits` significant ones: 0.6123, 1.2e-08, nan.
std::string rounded(double value, int digits = 4);

// The same for people: "–" for what is not known (yet).
std::string shown(double value, int digits = 4);

// 17 significant digits, which read back to the same double; nan, inf, -inf otherwise.
std::string exact_number(double value);

// 950, 1.23 k, 23.4 k, 1.20 M; "–" if it is not finite.
std::string with_si_prefix(double value);

// 4 s, 3 min 20 s, 2 h 05 min, 3 d 4 h; "–" if it is negative or not finite.
std::string duration(double seconds);

// 12.3 kB, 1.20 MB.
std::string byte_count(std::uint64_t bytes);

// 51.0 %; "–" if it is not finite.
std::string percent(double fraction);

// The first 12 digits of a hexadecimal name.
std::string abbreviated(const std::string& hex);

}  // namespace flowloom
