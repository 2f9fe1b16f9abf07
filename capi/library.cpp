// What the library is and what it uses here.
#include <array>

#include "base/dtype.h"
#include "base/log.h"
#include "base/text/format.h"
#include "base/text/text.h"
#include "base/threads.h"
#include "base/version.h"
#include "config/config_table.h"
#include "formats/format_table.h"
#include "guard.h"
#include "handles.h"
#include "kernels/kernel_table.h"
#include "module/loader.h"
#include "quantize/capabilities.h"
#include "schemes/scheme.h"

#ifndef MNQ_BUILD_TYPE
#define MNQ_BUILD_TYPE "unknown"
#endif

using namespace mnq;
using namespace mnq::capi;

namespace {

constexpr std::uint32_t kMaxThreads = 1024;

struct StatusName {
  mnq_status status;
  const char* name;
};
constexpr std::array kStatusNames{
    StatusName{MNQ_OK, "OK"},
    StatusName{MNQ_E_INVALID_ARG, "INVALID_ARG"},
    StatusName{MNQ_E_CONFIG, "CONFIG"},
    StatusName{MNQ_E_NOT_FOUND, "NOT_FOUND"},
    StatusName{MNQ_E_IO, "IO"},
    StatusName{MNQ_E_FORMAT, "FORMAT"},
    StatusName{MNQ_E_UNSUPPORTED, "UNSUPPORTED"},
    StatusName{MNQ_E_SHAPE, "SHAPE"},
    StatusName{MNQ_E_DTYPE, "DTYPE"},
    StatusName{MNQ_E_CALIBRATION, "CALIBRATION"},
    StatusName{MNQ_E_VALIDATION, "VALIDATION"},
    StatusName{MNQ_E_CANCELLED, "CANCELLED"},
    StatusName{MNQ_E_BUFFER_TOO_SMALL, "BUFFER_TOO_SMALL"},
    StatusName{MNQ_E_STATE, "STATE"},
    StatusName{MNQ_E_OUT_OF_MEMORY, "OUT_OF_MEMORY"},
    StatusName{MNQ_E_TORCH, "TORCH"},
    StatusName{MNQ_E_ABI, "ABI"},
    StatusName{MNQ_E_INTERNAL, "INTERNAL"},
};

// The instruction set behind one entry of the table: a faster table may hold a kernel of a slower one.
template <class Kernel>
const char* isa_of(Kernel kernels::KernelTable::*entry) {
  const kernels::KernelTable& used = kernels::kernel_table();
  for (const kernels::KernelTable* table : kernels::available_kernel_tables()) {
    if (table->*entry == used.*entry) return table->isa;
  }
  return used.isa;
}

Json kernels_json() {
  return {
#define MNQ_KERNEL(name) {#name, isa_of(&kernels::KernelTable::name)},
#include "kernels/kernel_entries.inc"
  };
}

Json build_info() {
  Json json{{"version", kVersion}, {"abi_version", formatted("{}.{}", MNQ_ABI_VERSION_MAJOR, MNQ_ABI_VERSION_MINOR)}};
#if defined(__clang__)
  json["compiler"] = "clang " __clang_version__;
#else
  json["compiler"] = "gcc " __VERSION__;
#endif
  json["build_type"] = MNQ_BUILD_TYPE;
  json["isa"] = kernels::kernel_table().isa;
  json["isa_available"] = Json::array();
  for (const kernels::KernelTable* table : kernels::available_kernel_tables()) {
    json["isa_available"].push_back(table->isa);
  }
  json["kernels"] = kernels_json();
  json["threads"] = default_thread_count();
  const std::string libtorch = loaded_libtorch_version();
  json["libtorch"] = libtorch.empty() ? Json(nullptr) : Json(libtorch);
  json["formats"] = Json::array();
  for (const Format* format : all_formats()) {
    json["formats"].push_back({{"name", format->name},
                               {"extensions", split_list(format->extensions)},
                               {"reads", format->open_source != nullptr || format->is_folder},
                               {"writes", format->open_sink != nullptr}});
  }
  json["schemes"] = Json::array();
  for (const Scheme* scheme : all_schemes()) {
    if (scheme->may_be_chosen) json["schemes"].push_back(scheme->name);
  }
  json["methods"] = split_list(find_config_key("method").choices);
  return json;
}

}  // namespace

uint32_t mnq_abi_version(void) noexcept { return MNQ_ABI_VERSION; }

const char* mnq_version(void) noexcept { return kVersion; }

mnq_status mnq_build_info(mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(build_info().dump());
  });
}

mnq_status mnq_list_capabilities(mnq_buffer** out, mnq_error** error) noexcept {
  return guarded(error, [&] {
    clear(require(out, "out"));
    *out = new_buffer(list_capabilities().dump());
  });
}

const char* mnq_status_name(mnq_status status) noexcept {
  for (const StatusName& row : kStatusNames) {
    if (row.status == status) return row.name;
  }
  return "UNKNOWN";
}

const char* mnq_dtype_name(mnq_dtype dtype) noexcept {
  const auto found = find_dtype(dtype);
  return found ? dtype_name(*found).data() : "UNKNOWN";
}

mnq_status mnq_set_log_callback(mnq_log_fn callback, void* user, mnq_error** error) noexcept {
  return guarded(error, [&] { set_log_callback(callback, user); });
}

uint32_t mnq_threads(void) noexcept {
  std::uint32_t count = 1;
  guarded(nullptr, [&] { count = default_thread_count(); });
  return count;
}

mnq_status mnq_set_threads(uint32_t count, mnq_error** error) noexcept {
  return guarded(error, [&] {
    if (count > kMaxThreads) {
      throw Error(Status::kInvalidArg, formatted("{} threads are more than {}", count, kMaxThreads),
                  "0 means one for each CPU", "count");
    }
    set_default_thread_count(count);
  });
}
