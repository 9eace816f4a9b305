// The portable engine: plain loops, no libraries, any dimension. It samples and inverts; it cannot train.
//
// Layout [channel][site][lane], lanes being a few samples side by side, so that compilers vectorise the
// innermost loop. Every sample goes through the same operations in the same order wherever it stands in a
// call: a sample's bits do not depend on `count`.
#pragma once

#include <memory>

#include "flow/engine.h"

namespace flowloom {

std::shared_ptr<const Engine> scalar_engine();

}  // namespace flowloom
