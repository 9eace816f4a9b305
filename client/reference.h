// The reference of all keys of a run file, in Markdown, from their declarations: docs/run-file.md. Pure.
#pragma once

#include <string>

#include "spec/run_spec.h"

namespace flowloom {

std::string run_file_reference(const Catalog& catalog);

}  // namespace flowloom
