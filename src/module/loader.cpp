#include "module/loader.h"

#include <dlfcn.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "base/own_stack.h"
#include "base/text/format.h"
#include "base/version.h"
#include "module/integer_kernels.h"
#include "schemes/decode_in_torchscript.h"

namespace mnq {
namespace {

constexpr const char* kFileName = "libmono_quant_torch.so";

[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw Error(Status::kUnsupported, formatted("TorchScript modules need {}: {}", file, what),
              formatted("install {} {} and LibTorch 2.13 (CPU); where they are elsewhere, name the folder of {} in "
                        "MONO_QUANT_TORCH, and that of LibTorch's libtorch_cpu.so in LD_LIBRARY_PATH",
                        kFileName, kVersion, kFileName),
              file);
}

// The working folder when this library was loaded: a host may load it by a relative path and go elsewhere before it
// asks for a module. Filled as the library is loaded, without memory of its own; empty where it cannot be had.
struct WorkingFolder {
  WorkingFolder() {
    if (::getcwd(path, sizeof path) == nullptr) path[0] = '\0';
  }
  char path[PATH_MAX];
};
const WorkingFolder folder_at_load;

// The folder of the library that this code is in, absolute.
std::string own_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return "";
  const std::string file = info.dli_fname;
  const std::size_t slash = file.rfind('/');
  if (slash == std::string::npos) return "";
  const std::string folder = file.substr(0, slash + 1);
  return folder.starts_with('/') ? folder : formatted("{}/{}", folder_at_load.path, folder);
}

// Not for a program that runs with more rights than who started it: it would run a library of their choice.
std::string backend_file() {
  const char* named = ::secure_getenv("MONO_QUANT_TORCH");
  if (named == nullptr || *named == '\0') return own_folder() + kFileName;
  struct stat status {};
  const bool is_folder = ::stat(named, &status) == 0 && S_ISDIR(status.st_mode);
  return is_folder ? formatted("{}/{}", named, kFileName) : std::string(named);
}

// The loader's own words, without the file where they begin with it.
std::string loader_error(const std::string& file) {
  const char* text = ::dlerror();
  const std::string words = text == nullptr ? "the loader gives no reason" : text;
  return words.starts_with(file + ": ") ? words.substr(file.size() + 2) : words;
}

template <class Part>
bool read_part(std::ifstream& in, std::uint64_t offset, Part& part) {
  in.seekg(static_cast<std::streamoff>(offset));
  return static_cast<bool>(in.read(reinterpret_cast<char*>(&part), sizeof part));
}

// A library that is cut short: the loader maps what its headers promise, and the first touch beyond the end of the file
// would end the process. What is no library, or cannot be read, the loader refuses by itself.
void require_whole(const std::string& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto size = static_cast<std::uint64_t>(std::max<std::streamoff>(in.tellg(), 0));
  Elf64_Ehdr header;
  if (!in || !read_part(in, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const bool is_there = read_part(in, header.e_phoff + i * std::uint64_t{header.e_phentsize}, segment);
    if (is_there && segment.p_offset <= size && segment.p_filesz <= size - segment.p_offset) continue;
    fail(file, formatted("it is cut short at {} bytes", size));
  }
}

template <class Function>
Function* find_symbol(void* library, const std::string& file, const char* symbol) {
  void* address = ::dlsym(library, symbol);
  if (address == nullptr) fail(file, loader_error(file));
  return reinterpret_cast<Function*>(address);
}

// The file of a library that is in the process already, by the start of its name; empty where none is.
std::string loaded_library(std::string_view name) {
  struct Search {
    std::string_view name;
    std::string file;
  } search{name, {}};
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* user) {
        auto& wanted = *static_cast<Search*>(user);
        const std::string_view file = info->dlpi_name;
        if (!file.substr(file.rfind('/') + 1).starts_with(wanted.name)) return 0;
        wanted.file = file;
        return 1;
      },
      &search);
  return search.file;
}

// The loader takes a LibTorch that the process has, whatever its version, and then misses symbols in it.
[[noreturn]] void fail_loading(const std::string& file, const std::string& libtorch_before) {
  const std::string words = loader_error(file);
  if (libtorch_before.empty()) fail(file, words);
  throw Error(
      Status::kUnsupported, formatted("TorchScript modules need {}: {}", file, words),
      formatted("this process has another LibTorch already, {}: there can be one only. Have LibTorch 2.13 loaded "
                "in its place, or open modules in a process of their own",
                libtorch_before),
      libtorch_before);
}

const Backend& load_backend() {
  const std::string file = backend_file();
  require_whole(file);
  const std::string libtorch = loaded_library("libtorch_cpu.so");
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) fail_loading(file, libtorch);
  const char* version = find_symbol<const char*()>(library, file, kBackendVersionSymbol)();
  if (std::strcmp(version, kVersion) != 0) {
    fail(file, formatted("it is version {}, and this library is {}", version, kVersion));
  }
  std::string refusal;
  const Backend* backend =
      find_symbol<BackendFunction>(library, file, kBackendSymbol)(&integer_kernels(), &script_library(), &refusal);
  if (backend == nullptr) fail(file, refusal);
  return *backend;
}

std::atomic<const Backend*> loaded{nullptr};
std::mutex loading;

}  // namespace

const Backend& require_backend() {
  if (const Backend* backend = loaded.load(std::memory_order_acquire)) return *backend;
  const std::lock_guard lock(loading);
  if (const Backend* backend = loaded.load(std::memory_order_acquire)) return *backend;
  const Backend* backend = nullptr;
  on_own_stack([&] { backend = &load_backend(); });  // the system's loader and LibTorch's start take 100 KB and more
  loaded.store(backend, std::memory_order_release);
  return *backend;
}

bool has_backend() {
  try {
    require_backend();
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string loaded_libtorch_version() {
  const Backend* backend = loaded.load(std::memory_order_acquire);
  return backend == nullptr ? "" : backend->libtorch_version();
}

}  // namespace mnq
