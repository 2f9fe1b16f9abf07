// monoquant info FILE
#include <unistd.h>

#include <map>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/handles.h"
#include "cli/human.h"
#include "cli/json.h"
#include "cli/report_view.h"
#include "cli/table.h"
#include "cli/utf8.h"

namespace cli {
namespace {

// "103 F32, 1 I64"
std::string dtypes_fact(const Json& tensors) {
  std::map<std::string, int> counts;
  for (const Json& tensor : tensors) ++counts[text_in(tensor, "dtype")];
  std::string text;
  for (const auto& [dtype, count] : counts) text += formatted("{}{} {}", text.empty() ? "" : ", ", count, dtype);
  return text.empty() ? "none" : text;
}

std::string schemes_fact(const Json& quantized) {
  std::map<std::string, int> counts;
  for (const Json& weight : quantized) ++counts[text_in(weight, "scheme")];
  std::string text;
  for (const auto& [scheme, count] : counts) text += formatted("{}{} {}", text.empty() ? "" : ", ", count, scheme);
  return text;
}

std::string metadata_fact(const Json& metadata) {
  std::string text;
  for (const auto& [key, value] : metadata.items()) {
    text += formatted("{}{}={}", text.empty() ? "" : ", ", key, value.get<std::string>());
  }
  constexpr std::size_t kMostColumns = 200;
  return shorten_middle(printable(text), kMostColumns, " ... ");
}

// The quantized weight behind each stored tensor, by the name of the first of its tensors: its codes.
std::map<std::string, const Json*> weights_by_codes(const Json& quantized) {
  std::map<std::string, const Json*> weights;
  for (const Json& weight : quantized) {
    if (!weight["tensors"].empty()) weights[weight["tensors"][0].get<std::string>()] = &weight;
  }
  return weights;
}

std::string tensor_table(const Json& model, const Screen& screen) {
  const auto weights = weights_by_codes(model["quantized"]);
  Table table({{"tensor"},
               {"dtype"},
               {"shape"},
               {"size", Column::kRight},
               {"scheme"},
               {"of", Column::kLeft, 1},
               {"SQNR dB", Column::kRight, 2}});
  for (const Json& tensor : model["tensors"]) {
    const auto found = weights.find(text_in(tensor, "name"));
    const Json none = Json::object();
    const Json& weight = found == weights.end() ? none : *found->second;
    const std::string of = weight.empty() ? "" : text_in(weight, "dtype") + " " + shape_text(weight["shape"], screen);
    table.add_row({{text_in(tensor, "name")},
                   {text_in(tensor, "dtype")},
                   {shape_text(tensor["shape"], screen)},
                   {bytes_text(number_in(tensor, "size_bytes"))},
                   {text_in(weight, "scheme"), Style::kGood},
                   {of, Style::kDim},
                   {sqnr_text(weight)}});
  }
  return table.text(screen);
}

std::string view(const Json& model, const Screen& screen) {
  const std::string table = tensor_table(model, screen);
  return facts_text({{"file", printable(text_in(model, "path"))},
                     {"format", text_in(model, "format")},
                     {"size", bytes_text(number_in(model, "size_bytes"))},
                     {"parameters", count_text(number_in(model, "parameters"))},
                     {"tensors", dtypes_fact(model["tensors"])},
                     {"quantized", schemes_fact(model["quantized"])},
                     {"metadata", metadata_fact(model["metadata"])}},
                    screen) +
         (table.empty() ? "" : "\n" + table);
}

}  // namespace

int run_info(const Options& options) {
  const Model model = make<Model>(mnq_model_open, options.input.c_str());
  const std::string json = text_of(make<Buffer>(mnq_model_describe, model.get()));
  write_stdout(options.json ? json + "\n" : view(Json::parse(json), screen_of(STDOUT_FILENO)));
  return kExitOk;
}

}  // namespace cli
