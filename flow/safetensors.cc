#include "flow/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "spec/error.h"

namespace flowloom {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kLargestHeader = 100'000'000;  // the format's own limit

// How many values a shape holds, or nothing if that exceeds `limit`.
std::optional<std::size_t> element_count(const std::vector<std::int64_t>& shape, std::size_t limit) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return {};
    const auto size = static_cast<std::size_t>(extent);
    if (size != 0 && count > limit / size) return {};
    count *= size;
  }
  return count;
}

template <class Real>
void append(std::string& bytes, const std::vector<double>& values) {
  const std::vector<Real> rounded(values.begin(), values.end());
  bytes.append(reinterpret_cast<const char*>(rounded.data()), rounded.size() * sizeof(Real));
}

template <class Real>
std::vector<double> extract(const char* data, std::size_t count) {
  std::vector<Real> values(count);
  if (count > 0) std::memcpy(values.data(), data, count * sizeof(Real));
  return std::vector<double>(values.begin(), values.end());
}

class Reader {
 public:
  Reader(const std::string& bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  SafeTensors read() {
    const json header = parse_header();
    SafeTensors content;
    std::vector<Place> places;
    for (const auto& [key, entry] : header.items()) {
      if (key == "__metadata__") {
        content.metadata = metadata(entry);
      } else {
        places.push_back(place(key, entry));
      }
    }
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
      return std::tie(a.begin, a.end, a.tensor.name) < std::tie(b.begin, b.end, b.tensor.name);
    });
    std::size_t at = 0;
    for (Place& place : places) {
      if (place.begin != at) {
        refuse("the data of tensor " + quoted(place.tensor.name) + " begins at byte " + std::to_string(place.begin) +
               " where byte " + std::to_string(at) + " is next");
      }
      at = place.end;
      const char* data = bytes_.data() + data_begin_ + place.begin;
      place.tensor.values =
          place.tensor.single ? extract<float>(data, place.count) : extract<double>(data, place.count);
      content.tensors.push_back(std::move(place.tensor));
    }
    if (at != data_size_) {
      refuse("its data has " + std::to_string(data_size_) + " bytes, its header accounts for " + std::to_string(at));
    }
    return content;
  }

 private:
  struct Place {
    Tensor tensor;
    std::size_t begin, end, count;
  };

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorCode::kCorrupt, name_ + " is not a complete safetensors file: " + what + ".");
  }

  static std::string quoted(const std::string& text) {
    return json(text.size() > 80 ? text.substr(0, 80) + "..." : text)
        .dump(-1, ' ', true, json::error_handler_t::replace);
  }

  json parse_header() {
    if (bytes_.size() < kLengthBytes) refuse("it has only " + std::to_string(bytes_.size()) + " bytes");
    std::uint64_t size = 0;
    std::memcpy(&size, bytes_.data(), kLengthBytes);
    if (size > kLargestHeader) {
      refuse("its header would have " + std::to_string(size) + " bytes, more than the format allows");
    }
    if (size > bytes_.size() - kLengthBytes) {
      refuse("its header should have " + std::to_string(size) + " bytes, and only " +
             std::to_string(bytes_.size() - kLengthBytes) + " are there");
    }
    data_begin_ = kLengthBytes + static_cast<std::size_t>(size);
    data_size_ = bytes_.size() - data_begin_;

    std::vector<std::set<std::string>> open;  // the keys seen in each object that is still open
    std::string repeated;
    const auto watch = [&](int, json::parse_event_t event, json& value) {
      if (event == json::parse_event_t::object_start) open.emplace_back();
      if (event == json::parse_event_t::object_end) open.pop_back();
      if (event == json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
        repeated = value.get<std::string>();
      }
      return true;
    };
    const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(kLengthBytes);
    json header = json::parse(begin, bytes_.begin() + static_cast<std::ptrdiff_t>(data_begin_), watch, false);
    if (!header.is_object()) refuse("its header is not a JSON object");
    if (!repeated.empty()) refuse("its header names " + quoted(repeated) + " twice");
    return header;
  }

  std::map<std::string, std::string> metadata(const json& entry) const {
    if (!entry.is_object()) refuse("its metadata is not a JSON object");
    std::map<std::string, std::string> texts;
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) refuse("its metadata " + quoted(key) + " is not a text");
      texts[key] = value.get<std::string>();
    }
    return texts;
  }

  Place place(const std::string& name, const json& entry) const {
    const std::string tensor = "tensor " + quoted(name);
    if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
        !entry.contains("data_offsets")) {
      refuse(tensor + " is not described by dtype, shape and data_offsets");
    }
    Place place{};
    place.tensor.name = name;
    if (entry["dtype"] != "F32" && entry["dtype"] != "F64") refuse(tensor + " is neither F32 nor F64");
    place.tensor.single = entry["dtype"] == "F32";
    const std::vector<std::size_t> shape = whole_numbers(entry["shape"], tensor + "'s shape");
    for (const std::size_t extent : shape) place.tensor.shape.push_back(static_cast<std::int64_t>(extent));
    const std::vector<std::size_t> offsets = whole_numbers(entry["data_offsets"], tensor + "'s data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size_) {
      refuse("the data of " + tensor + " is not inside the file's " + std::to_string(data_size_) + " bytes of data");
    }
    place.begin = offsets[0];
    place.end = offsets[1];
    const std::size_t width = place.tensor.single ? sizeof(float) : sizeof(double);
    const auto count = element_count(place.tensor.shape, data_size_);
    if (!count || *count * width != place.end - place.begin) {
      refuse(tensor + " has " + std::to_string(place.end - place.begin) + " bytes, which do not fit its shape");
    }
    place.count = *count;
    return place;
  }

  std::vector<std::size_t> whole_numbers(const json& list, const std::string& what) const {
    if (!list.is_array() || list.size() > 64) refuse(what + " is not a short list");
    std::vector<std::size_t> numbers;
    for (const json& element : list) {
      if (!element.is_number_unsigned() || element.get<std::uint64_t>() > (std::uint64_t{1} << 62)) {
        refuse(what + " has an element that is no size");
      }
      numbers.push_back(element.get<std::size_t>());
    }
    return numbers;
  }

  const std::string& bytes_;
  const std::string& name_;
  std::size_t data_begin_ = 0, data_size_ = 0;
};

}  // namespace

std::string write_safetensors(const SafeTensors& content) {
  json header = json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  std::string data;
  for (const Tensor& tensor : content.tensors) {
    const std::size_t begin = data.size();
    if (tensor.single) {
      append<float>(data, tensor.values);
    } else {
      append<double>(data, tensor.values);
    }
    header[tensor.name] = {
        {"dtype", tensor.single ? "F32" : "F64"}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t size = text.size();
  std::string bytes(reinterpret_cast<const char*>(&size), kLengthBytes);
  return bytes + text + data;
}

SafeTensors read_safetensors(const std::string& bytes, const std::string& name) { return Reader(bytes, name).read(); }

}  // namespace flowloom
