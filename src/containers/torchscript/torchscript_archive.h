// What must hold of a TorchScript file before LibTorch's own loader sees it: that one believes sizes, recurses as deep
// as the file says and, fed with damaged files, ends the process. Here every record's checksum is compared, every
// pickle is read as plain values with only those types and functions a module needs, every tensor lies within its
// storage, and code is what torch.jit.save prints, with nothing in it that LibTorch would run while it loads it.
// Source: torch/csrc/jit/serialization/{import,unpickler}.cpp, caffe2/serialize/{inline_container.cc,versions.h}, 2.13
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "containers/torchscript/torchscript_program.h"
#include "containers/zip/zip_archive.h"

namespace mnq {

struct TorchScriptArchive {
  std::string root;                      ///< the folder all records are in
  std::vector<std::string> extra_files;  ///< of `ROOT/extra/NAME` the names
  std::uint64_t tensor_bytes = 0;        ///< of all storages, each once
  std::vector<std::string> remarks;      ///< what is in it and is not kept
  ScriptProgram program;
};

/// Whether it holds `ROOT/constants.pkl` and `ROOT/code/…`: a state dict has neither.
bool is_torchscript(const ZipArchive& archive);

/// Reads all but the tensors, whose checksums check_all_entries compares. Errors: kFormat (damaged, inconsistent);
/// kUnsupported (another version or byte order, types or functions that no float module has, quantized modules, custom
/// classes, code that runs while it is loaded). Each names the record.
TorchScriptArchive check_torchscript(const ZipArchive& archive);

}  // namespace mnq
