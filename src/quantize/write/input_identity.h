// What an input is known by again, for a job that goes on later or on another machine: shards of two inputs must never
// come to lie in one folder, and a copy of the input must do.
#pragma once

#include <string>

#include "base/tensor_source.h"

namespace mnq {

/// The same text for the same input. Up to 64 MiB in all, and in memory: every byte of every file that is read or
/// carried on. More: each file's name, size and time of its last write, the ends of every stored tensor, and more from
/// the middle of some; reading all of it would take as long as the job. Errors: as read.
std::string identify_input(const TensorSource& source);

}  // namespace mnq
