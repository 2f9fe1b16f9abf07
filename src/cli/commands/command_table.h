// The commands: what each is called, takes and does. A new command is its file and a row here.
#pragma once

#include "cli/commands/commands.h"
#include "cli/config_keys.h"
#include "cli/flags.h"

namespace cli {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Options&);
  void (*add_flags)(Flags&, Options&);
  const char* footer;  // of its help
};

// What every command that reads weights has.
inline void add_job_flags(Flags& flags, Options& options) {
  flags.text("--report", options.report, "FILE", kOutput, "write the report as JSON, once all is done");
  CLI::Option* json = flags.truth("--json", options.json, kOutput, "print the report as JSON, and nothing else");
  flags.truth("-q,--quiet", options.quiet, kOutput, "print nothing but errors")->excludes(json);
  flags.truth("-v,--verbose", options.verbose, kOutput, "list every tensor and warning");
  flags.setting("-j,--threads", "threads", "N", kRunning, "threads to work with; else one for each CPU");
  flags.any_setting(kRunning);
}

// Where nothing but the report is written.
inline void add_report_flags(Flags& flags, Options& options) {
  flags.setting_flag("-f,--force", "overwrite", "true", kOutput, "replace a report that is there already");
  add_job_flags(flags, options);
}

inline void add_input_flags(Flags& flags) {
  flags.setting("--tensors-key", "tensors_key", "KEY", kWhat, "of a PyTorch checkpoint: the dict with the tensors");
}

// What every command that writes weights has.
inline void add_output_flags(Flags& flags, Options& options) {
  flags.setting_flag("-f,--force", "overwrite", "true", kOutput, "replace an output or a report that is there already");
  flags.setting("--format", "format", "NAME", kOutput, "what to write, where the name of OUT does not tell");
  flags.setting("--max-shard-size", "max_shard_size", "SIZE", kOutput, "of a folder's files: 2GiB; else 5GiB");
  flags.setting("--shard", "shard", "I/N", kOutput, "make the I-th of N parts of a folder only; see merge");
  flags.setting_flag("--resume", "resume", "true", kOutput, "go on with a folder that a run did not end");
  add_job_flags(flags, options);
}

inline void add_quantize_flags(Flags& flags, Options& options) {
  flags.argument("IN", options.input, "a .safetensors, .pt, .bin or .gguf file, or a folder");
  flags.setting("-b,--bits", "bits", "N", kWhat, "8 (the default), 2 to 7, or 16");
  flags.setting("-d,--dtype", "dtype", "NAME", kWhat, "a scheme by its name: monoquant keys lists them");
  flags.setting("-g,--group-size", "group_size", "N", kWhat, "weights that share a scale; 0: a whole channel");
  CLI::Option* symmetric = flags.setting_flag("--symmetric", "symmetric", "true", kWhat, "zero point 0");
  flags.setting_flag("--asymmetric", "symmetric", "false", kWhat, "a zero point for each scale")->excludes(symmetric);
  flags.setting_flag("--per-tensor", "per_channel", "false", kWhat, "one scale for a whole tensor");
  flags.setting("--method", "method", "NAME", kWhat, "minmax, or search: more accurate; for 4 bits anyway");
  flags.list("--only", "only", "GLOB", kWhat, "quantize only layers that match; repeatable");
  flags.list("--skip", "skip", "GLOB", kWhat, "leave layers that match as they are; repeatable");
  flags.layer_settings(kWhat);
  flags.text("-c,--config", options.config, "FILE", kWhat, "JSON of keys and values; flags win over it");
  add_input_flags(flags);
  flags.text("-o,--output", options.output, "OUT", kOutput, "where to; else beside IN, as IN-int8 and the like");
  flags.truth("-n,--dry-run", options.dry_run, kOutput, "say what would be done, and do nothing");
  add_output_flags(flags, options);
}

inline void add_dequantize_flags(Flags& flags, Options& options) {
  flags.argument("IN", options.input, "a quantized checkpoint");
  flags.setting("-d,--dtype", "float_dtype", "NAME", kWhat, choices_of("float_dtype") + "; else what weights were");
  add_input_flags(flags);
  flags.text("-o,--output", options.output, "OUT", kOutput, "where to")->required();
  add_output_flags(flags, options);
}

inline void add_convert_flags(Flags& flags, Options& options) {
  flags.argument("IN", options.input, "a checkpoint, float or quantized");
  add_input_flags(flags);
  flags.text("-o,--output", options.output, "OUT", kOutput, "where to: .safetensors, .pt, .gguf, or a folder: OUT/")
      ->required();
  add_output_flags(flags, options);
}

inline void add_merge_flags(Flags& flags, Options& options) {
  flags.argument("OUT", options.input, "the folder, as it was named to quantize --shard");
  flags.setting_flag("-f,--force", "overwrite", "true", kOutput, "replace a folder that is there already");
  flags.truth("-q,--quiet", options.quiet, kOutput, "print nothing but errors");
}

inline void add_compare_flags(Flags& flags, Options& options) {
  flags.argument("A", options.input, "the reference, float or quantized");
  flags.argument("B", options.other, "the checkpoint to compare with it");
  add_input_flags(flags);
  add_report_flags(flags, options);
}

inline void add_validate_flags(Flags& flags, Options& options) {
  flags.argument("FILE", options.input, "the checkpoint to check, float or quantized");
  flags.text("-a,--against", options.other, "ORIGINAL", kWhat, "also check names, shapes and dtypes");
  add_input_flags(flags);
  add_report_flags(flags, options);
}

inline void add_json_flag(Flags& flags, Options& options) {
  flags.truth("--json", options.json, kOutput, "print it as JSON");
}

inline void add_info_flags(Flags& flags, Options& options) {
  flags.argument("FILE", options.input, "a checkpoint, float or quantized");
  add_input_flags(flags);
  add_json_flag(flags, options);
}

inline constexpr Command kCommands[] = {
    {"quantize", "Make a checkpoint smaller: integers of 2 to 8 bits, floats of 4 to 16.", run_quantize,
     add_quantize_flags,
     "Examples:\n"
     "  monoquant quantize model.safetensors\n"
     "      int8, a scale for each channel, into model-int8.safetensors\n"
     "  monoquant quantize model.safetensors --bits 4 -g 64 -o small.safetensors\n"
     "  monoquant quantize model.safetensors --bits 4 --layer 'encoder.0.*' bits=8\n"
     "      4 bits, the first block 8\n"
     "  monoquant quantize model.safetensors --skip lm_head --skip '*.gate' -n\n"
     "      what would become of each tensor\n"
     "  monoquant quantize all-MiniLM-L6-v2 -o all-MiniLM-L6-v2-int8\n"
     "      a Hugging Face folder, into one that transformers and vLLM load\n"
     "  monoquant quantize model.pt --bits 4 -o model.gguf\n"
     "      a PyTorch state dict, into GGUF's Q4_0"},
    {"info", "Say what is in a checkpoint.", run_info, add_info_flags,
     "Examples:\n"
     "  monoquant info model.safetensors\n"
     "  monoquant info model.safetensors --json | jq '.tensors[].name'"},
    {"compare", "Measure the accuracy of B against A, tensor by tensor.", run_compare, add_compare_flags,
     "Examples:\n"
     "  monoquant compare model.safetensors model-int8.safetensors\n"
     "  monoquant compare model-int8.safetensors model-int4.safetensors --json"},
    {"validate", "Check a checkpoint: finite values, usable scales, right shapes.", run_validate, add_validate_flags,
     "Examples:\n"
     "  monoquant validate model-int8.safetensors\n"
     "  monoquant validate model-int8.safetensors --against model.safetensors\n"
     "      also that every tensor of the original is there, and none besides\n"
     "\n"
     "Where something is wrong with it the exit code is 4."},
    {"dequantize", "Turn a quantized checkpoint back into floats.", run_dequantize, add_dequantize_flags,
     "Examples:\n"
     "  monoquant dequantize model-int8.safetensors -o model-float.safetensors"},
    {"convert", "Write a checkpoint in another format.", run_convert, add_convert_flags,
     "Examples:\n"
     "  monoquant convert model.pt -o model.safetensors\n"
     "  monoquant convert model-int4.safetensors -o model-int4/\n"
     "      into a folder, as compressed-tensors\n"
     "  monoquant convert model.gguf -o model.pt\n"
     "\n"
     "What the format cannot hold as it is gets quantized anew, and is listed."},
    {"merge", "Make a folder whole whose parts were made with --shard.", run_merge, add_merge_flags,
     "Examples:\n"
     "  monoquant quantize big -o big-int8 --shard 1/2    on one machine\n"
     "  monoquant quantize big -o big-int8 --shard 2/2    on another\n"
     "  monoquant merge big-int8"},
    {"kernels", "Show what this CPU gets: instruction sets and kernels.", run_kernels, add_json_flag,
     "Examples:\n"
     "  monoquant kernels\n"
     "  MNQ_ISA=generic monoquant kernels\n"
     "      forces an instruction set: generic, avx2 or avx512"},
    {"keys", "List the keys of --set, --layer and --config.", run_keys, add_json_flag,
     "Examples:\n"
     "  monoquant keys\n"
     "  monoquant quantize model.safetensors --set nonfinite=copy"},
};

inline constexpr const char* kMainFooter =
    "Examples:\n"
    "  monoquant quantize model.safetensors             into model-int8.safetensors\n"
    "  monoquant quantize model.safetensors --bits 4    into model-int4.safetensors\n"
    "  monoquant compare model.safetensors model-int4.safetensors\n"
    "\n"
    "monoquant COMMAND --help has the flags of a command, and more examples.\n"
    "\n"
    "Exit codes: 0 ok, 1 general, 2 usage or configuration, 3 quantization,\n"
    "4 validation, 5 file, 130 stopped by Ctrl-C.";

}  // namespace cli
