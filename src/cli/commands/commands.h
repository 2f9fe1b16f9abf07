// The commands, one file each.
#pragma once

#include "cli/commands/options.h"

namespace cli {

int run_quantize(const Options& options);
int run_dequantize(const Options& options);
int run_convert(const Options& options);
int run_merge(const Options& options);
int run_compare(const Options& options);
int run_validate(const Options& options);
int run_info(const Options& options);
int run_kernels(const Options& options);
int run_keys(const Options& options);

/// Help and version.
int print_text(const Options& options);

}  // namespace cli
