// mono_quant.hpp - the C++20 face of mono_quant.h: header-only, so that no C++ ABI lies between you and the library.
//
//     mono_quant::Config config;
//     config.set("bits", "4");
//     mono_quant::Report report = mono_quant::quantize_file("model.safetensors", "model-int4.safetensors", config);
//     for (const auto& layer : report.layers())
//       std::cout << layer.text("name") << ' ' << layer.number("sqnr_db").value_or(NAN) << '\n';
//
// Every class owns one handle of mono_quant.h: it can be moved, is freed at the end of its scope, get() lends the
// handle to C functions and release() gives it away. A moved-from object may only be assigned to or destroyed. Failures
// throw mono_quant::Error. What mono_quant.h says of shapes, units and threads holds here: const members from any
// thread, others from one at a time. Every function of it is here but mnq_get_api, which is for hosts that dlopen.
#ifndef MONO_QUANT_HPP
#define MONO_QUANT_HPP

#if __cplusplus <= 201703L
#error "mono_quant.hpp needs C++20: compile with -std=c++20"
#else

#include "buffer.hpp"
#include "config.hpp"
#include "error.hpp"
#include "jobs.hpp"
#include "kernels.hpp"
#include "library.hpp"
#include "linear.hpp"
#include "model.hpp"
#include "report.hpp"
#include "run.hpp"
#include "streams.hpp"
#include "tensor.hpp"
#include "values.hpp"

#endif  // C++20
#endif  // MONO_QUANT_HPP
