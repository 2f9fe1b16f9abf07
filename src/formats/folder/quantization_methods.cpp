#include "formats/folder/quantization_methods.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/format.h"
#include "formats/compressed_tensors/compressed_tensors.h"
#include "formats/folder/folder_loaders.h"

namespace mnq {
namespace {

constexpr std::array kMethods{&kCompressedTensorsMethod};

std::string list_methods() {
  std::string names;
  for (const QuantizationMethod* method : kMethods) {
    names += (names.empty() ? "" : ", ") + std::string(method->quant_method);
  }
  return names;
}

[[noreturn]] void refuse_method(const std::string& title, const std::string& name) {
  throw Error(Status::kUnsupported,
              formatted("{}: is quantized by {}, which is not supported; read are: {}", title, name, list_methods()),
              "pass the float checkpoint it was made from", title);
}

}  // namespace

std::unique_ptr<TensorSource> adapt_quantized_folder(std::unique_ptr<TensorSource> source, const Json& config) {
  const Json* quantization = config.is_object() ? config.find("quantization_config") : nullptr;
  if (quantization == nullptr || quantization->is_null()) return source;
  if (is_plain_folder(*quantization)) return source;  // its metadata says how
  const Json* said = quantization->is_object() ? quantization->find("quant_method") : nullptr;
  const std::string name = said != nullptr && said->is_string() ? said->text() : "an unknown method";
  const auto method = std::ranges::find(kMethods, name, &QuantizationMethod::quant_method);
  if (method == kMethods.end()) refuse_method(source->title(), name);
  return (*method)->adapt(std::move(source), *quantization);
}

bool may_be_of_quantized_folder(const TensorSource& source) {
  return source.own_metadata() == nullptr && std::ranges::any_of(kMethods, [&](const QuantizationMethod* method) {
           return method->has_such_names(source);
         });
}

}  // namespace mnq
