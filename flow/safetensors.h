// The safetensors container: u64 header size, a JSON header, packed little-endian data
// (github.com/huggingface/safetensors).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flowloom {

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<double> values;  // row-major
  bool single = false;         // F32 in the file, otherwise F64
};

struct SafeTensors {
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;  // in the order of their data
};

// Tensors are written in order, the header padded with spaces to a multiple of 8: equal content gives equal bytes.
std::string write_safetensors(const SafeTensors& content);

// Reads F32 and F64 tensors. Throws `kCorrupt` with `name` and what is wrong for anything that is not a
// complete, gapless, consistent file; memory is bounded by the size of `bytes`.
SafeTensors read_safetensors(const std::string& bytes, const std::string& name);

}  // namespace flowloom
