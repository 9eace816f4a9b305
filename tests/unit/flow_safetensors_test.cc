#include "flow/safetensors.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

#include "flow_cases.h"

namespace flowloom {
namespace {

SafeTensors small_tensors() {
  return {.metadata = {{"who", "test"}, {"empty", ""}},
          .tensors = {{"b", {2, 1, 3}, {1, -2, 3.5, 0, 1e-30, -0.25}, true},
                      {"a", {2}, {0.1, 1e300}, false},
                      {"s", {}, {4}, false}}};
}

// A file with this header and `data` zero bytes behind it.
std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + std::string(data, '\0');
}

std::string refusal(const std::string& bytes) {
  ErrorCode code{};
  const std::string sentence = sentence_of([&] { read_safetensors(bytes, "m.safetensors"); }, &code);
  if (!sentence.empty()) {
    EXPECT_EQ(code, ErrorCode::kCorrupt);
  }
  const std::string prefix = "m.safetensors is not a complete safetensors file: ";
  return sentence.starts_with(prefix) ? sentence.substr(prefix.size()) : sentence;
}

std::string refusal_of(const std::string& header, std::size_t data = 0) { return refusal(file_of(header, data)); }

TEST(SafeTensors, WhatIsWrittenIsReadBack) {
  const SafeTensors written = small_tensors();
  const SafeTensors read = read_safetensors(write_safetensors(written), "m");
  EXPECT_EQ(read.metadata, written.metadata);
  ASSERT_EQ(read.tensors.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read.tensors[i].name, written.tensors[i].name);
    EXPECT_EQ(read.tensors[i].shape, written.tensors[i].shape);
    EXPECT_EQ(read.tensors[i].single, written.tensors[i].single);
    for (std::size_t k = 0; k < read.tensors[i].values.size(); ++k) {
      const double value = written.tensors[i].values[k];
      EXPECT_EQ(read.tensors[i].values[k], written.tensors[i].single ? static_cast<float>(value) : value);
    }
  }
}

TEST(SafeTensors, TheLayoutIsThePublishedOne) {
  const std::string bytes = write_safetensors({.metadata = {}, .tensors = {{"x", {1}, {1.0}, true}}});
  const std::string header = R"({"x":{"data_offsets":[0,4],"dtype":"F32","shape":[1]}})";
  EXPECT_EQ(bytes, file_of(header + "  ", 0) + std::string("\0\0\x80\x3f", 4));
}

TEST(SafeTensors, AHeaderIsPaddedToEightBytes) {
  for (std::size_t length = 1; length < 10; ++length) {
    const std::string bytes = write_safetensors({.metadata = {{"k", std::string(length, 'x')}}, .tensors = {}});
    EXPECT_EQ(bytes.size() % 8, 0u);
  }
}

TEST(SafeTensors, ATruncatedFileIsRefusedAtEveryLength) {
  const std::string bytes = write_safetensors(small_tensors());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_NE(refusal(bytes.substr(0, length)), "") << length << " of " << bytes.size() << " bytes";
  }
}

TEST(SafeTensors, SaysHowManyBytesOfTheHeaderAreThere) {
  EXPECT_EQ(refusal("short"), "it has only 5 bytes.");
  EXPECT_EQ(refusal(file_of("{}", 0).substr(0, 9)), "its header should have 2 bytes, and only 1 are there.");
  EXPECT_EQ(refusal(std::string(8, '\xff')),
            "its header would have 18446744073709551615 bytes, more than the format allows.");
}

TEST(SafeTensors, ExtraBytesAreRefused) {
  EXPECT_EQ(refusal(write_safetensors(small_tensors()) + "x"), "its data has 49 bytes, its header accounts for 48.");
}

TEST(SafeTensors, AHeaderThatIsNoJsonObjectIsRefused) {
  EXPECT_EQ(refusal_of(""), "its header is not a JSON object.");
  EXPECT_EQ(refusal_of("[1]"), "its header is not a JSON object.");
  EXPECT_EQ(refusal_of("{\"a\":"), "its header is not a JSON object.");
  EXPECT_EQ(refusal_of("{\"\xff\":1}"), "its header is not a JSON object.");
  EXPECT_EQ(refusal_of(std::string(100000, '[')), "its header is not a JSON object.");
}

TEST(SafeTensors, ATensorNamedTwiceIsRefused) {
  const std::string entry = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_EQ(refusal_of("{" + entry + "," + entry + "}", 4), "its header names \"a\" twice.");
}

TEST(SafeTensors, MetadataMustBeTexts) {
  EXPECT_EQ(refusal_of(R"({"__metadata__":[]})"), "its metadata is not a JSON object.");
  EXPECT_EQ(refusal_of(R"({"__metadata__":{"a":1}})"), "its metadata \"a\" is not a text.");
}

TEST(SafeTensors, ATensorNeedsItsThreeKeys) {
  const std::string sentence = "tensor \"a\" is not described by dtype, shape and data_offsets.";
  EXPECT_EQ(refusal_of(R"({"a":1})"), sentence);
  EXPECT_EQ(refusal_of(R"({"a":{"dtype":"F32","shape":[1]}})"), sentence);
  EXPECT_EQ(refusal_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}})", 4), sentence);
}

TEST(SafeTensors, OtherTypesAreRefused) {
  EXPECT_EQ(refusal_of(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", 4),
            "tensor \"a\" is neither F32 nor F64.");
  EXPECT_EQ(refusal_of(R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", 4),
            "tensor \"a\" is neither F32 nor F64.");
}

TEST(SafeTensors, ShapesMustFitTheirBytes) {
  const auto with_shape = [](const std::string& shape) {
    return refusal_of(R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,8]}})", 8);
  };
  EXPECT_EQ(with_shape("[2]"), "");
  EXPECT_EQ(with_shape("[3]"), "tensor \"a\" has 8 bytes, which do not fit its shape.");
  EXPECT_EQ(with_shape("[4294967296,4294967296,2]"), "tensor \"a\" has 8 bytes, which do not fit its shape.");
  EXPECT_EQ(with_shape("[4611686018427387905,2]"), "tensor \"a\"'s shape has an element that is no size.");
  EXPECT_EQ(with_shape("[-2]"), "tensor \"a\"'s shape has an element that is no size.");
  EXPECT_EQ(with_shape("[2.0]"), "tensor \"a\"'s shape has an element that is no size.");
  EXPECT_EQ(with_shape("2"), "tensor \"a\"'s shape is not a short list.");
}

TEST(SafeTensors, DataMustLieInsideTheFile) {
  const auto with_offsets = [](const std::string& offsets) {
    return refusal_of(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":)" + offsets + "}}", 8);
  };
  const std::string sentence = "the data of tensor \"a\" is not inside the file's 8 bytes of data.";
  EXPECT_EQ(with_offsets("[0,8]"), "");
  EXPECT_EQ(with_offsets("[8,16]"), sentence);
  EXPECT_EQ(with_offsets("[8,0]"), sentence);
  EXPECT_EQ(with_offsets("[0]"), sentence);
}

TEST(SafeTensors, GapsAndOverlapsAreRefused) {
  const auto two = [](const std::string& first, const std::string& second, std::size_t data) {
    return refusal_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + first +
                          R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + second + "}}",
                      data);
  };
  EXPECT_EQ(two("[0,8]", "[8,16]", 16), "");
  EXPECT_EQ(two("[8,16]", "[0,8]", 16), "");
  EXPECT_EQ(two("[0,8]", "[12,20]", 20), "the data of tensor \"b\" begins at byte 12 where byte 8 is next.");
  EXPECT_EQ(two("[0,8]", "[4,12]", 12), "the data of tensor \"b\" begins at byte 4 where byte 8 is next.");
  EXPECT_EQ(two("[4,12]", "[12,20]", 20), "the data of tensor \"a\" begins at byte 4 where byte 0 is next.");
}

RC_GTEST_PROP(SafeTensors, FlippedBytesAreRefusedOrReadWithoutHarm, ()) {
  std::string bytes = write_safetensors(small_tensors());
  const auto flips = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::pair<std::uint16_t, std::uint8_t>>>(
      rc::gen::arbitrary<std::pair<std::uint16_t, std::uint8_t>>()));
  for (const auto& [at, mask] : flips) bytes[at % bytes.size()] ^= static_cast<char>(mask);
  try {
    const SafeTensors read = read_safetensors(bytes, "m");
    std::size_t size = 0;
    for (const Tensor& tensor : read.tensors) size += tensor.values.size() * (tensor.single ? 4 : 8);
    RC_ASSERT(size == 48u);
  } catch (const Error& error) {
    RC_ASSERT(error.code() == ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace flowloom
