// The library's handles as owners, and its statuses as failures.
#pragma once

#include <memory>
#include <string>

#include "cli/failure.h"
#include "mono_quant.h"

namespace cli {

template <auto free_handle>
struct FreeWith {
  template <class Handle>
  void operator()(Handle* handle) const {
    free_handle(handle);
  }
};

using Buffer = std::unique_ptr<mnq_buffer, FreeWith<mnq_buffer_free>>;
using Config = std::unique_ptr<mnq_config, FreeWith<mnq_config_free>>;
using Model = std::unique_ptr<mnq_model, FreeWith<mnq_model_free>>;
using Report = std::unique_ptr<mnq_report, FreeWith<mnq_report_free>>;
using Run = std::unique_ptr<mnq_run, FreeWith<mnq_run_free>>;

/// Calls function(arguments..., &error); throws Failure unless it succeeds.
template <class Function, class... Arguments>
void call(Function function, Arguments... arguments) {
  mnq_error* error = nullptr;
  const mnq_status status = function(arguments..., &error);
  const std::unique_ptr<mnq_error, FreeWith<mnq_error_free>> owner(error);
  if (status == MNQ_OK) return;
  throw Failure{status, mnq_error_message(error), mnq_error_suggestion(error), mnq_error_subject(error)};
}

/// As call, for a function whose last argument before the error is the handle it gives.
template <class Owner, class Function, class... Arguments>
Owner make(Function function, Arguments... arguments) {
  typename Owner::pointer handle = nullptr;
  call(function, arguments..., &handle);
  return Owner(handle);
}

inline std::string text_of(const Buffer& buffer) {
  return {mnq_buffer_data(buffer.get()), mnq_buffer_size(buffer.get())};
}

}  // namespace cli
