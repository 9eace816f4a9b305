// A TOML file as read: parsed, overridden by `--set`, and checked section by section against declared keys.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "spec/schema.h"

namespace flowloom {

class Document {
 public:
  // `name` stands for the file in sentences. Throws `kInvalidInput` with line and column for a text that is no TOML.
  static Document parse(const std::string& text, const std::string& name);

  // Throws `kNotFound` if the file cannot be read.
  static Document read(const std::filesystem::path& file);

  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  // Overrides one key: "train.batch=256". The value is TOML; a bare word is taken as a text.
  void set(const std::string& assignment);

  // Checks section `[name]` against `keys` and fills in defaults. A missing section is an empty one. The
  // first mistake throws `kInvalidInput` with one sentence: file, line, key, what was found, what is allowed.
  Section section(const std::string& name, const std::vector<Key>& keys) const;

  // One text of a section before it is checked, to choose the keys by (the `kind` of a theory).
  std::string text_of(const std::string& section, const Key& key) const;

  // Refuses sections that nobody declared.
  void refuse_other_sections(const std::vector<std::string>& known) const;

  // The file with the overrides in place, as TOML.
  std::string text() const;

 private:
  struct Impl;
  explicit Document(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flowloom
