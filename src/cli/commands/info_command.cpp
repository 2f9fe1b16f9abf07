// monoquant info FILE
#include <unistd.h>

#include <map>
#include <set>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/commands/job.h"
#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/human.h"
#include "cli/terminal/report_view.h"
#include "cli/terminal/table.h"
#include "cli/terminal/utf8.h"

namespace cli {
namespace {

std::map<std::string, int> count_values(const Json& objects, const char* field) {
  std::map<std::string, int> counts;
  for (const Json& object : objects) ++counts[text_in(object, field)];
  return counts;
}

// "103 F32, 1 I64"
std::string counts_fact(const Json& objects, const char* field) {
  std::string text;
  for (const auto& [value, count] : count_values(objects, field)) {
    text += formatted("{}{} {}", text.empty() ? "" : ", ", count, value);
  }
  return text;
}

// A line for each key, shortened where it would be longer than a terminal is wide.
std::string metadata_text(const std::map<std::string, std::string>& metadata, const Screen& screen) {
  std::string text;
  for (const auto& [key, value] : metadata) {
    const std::string line = printable(formatted("{} = {}", key, value));
    constexpr std::size_t kIndent = 4;
    const bool fits = screen.width <= kIndent;
    text += "    " + (fits ? line : shorten_middle(line, screen.width - kIndent, screen.ellipsis())) + "\n";
  }
  return text.empty() ? "" : "  metadata\n" + text;
}

using TensorByName = std::map<std::string, const Json*>;

// A weight's codes and scales apart, as they lie in the file, are hard to read: its tensors follow the first of them.
std::vector<const Json*> in_order(const Json& model, const TensorByName& weights) {
  TensorByName by_name;
  for (const Json& tensor : model["tensors"]) by_name[text_in(tensor, "name")] = &tensor;
  std::set<std::string> shown_elsewhere;
  for (const Json& weight : model["quantized"]) {
    for (const Json& part : weight["tensors"]) shown_elsewhere.insert(as_text(part));
  }
  std::vector<const Json*> order;
  for (const Json& tensor : model["tensors"]) {
    const auto weight = weights.find(text_in(tensor, "name"));
    if (weight != weights.end()) {
      for (const Json& part : (*weight->second)["tensors"]) order.push_back(by_name.at(as_text(part)));
    } else if (!shown_elsewhere.contains(text_in(tensor, "name"))) {
      order.push_back(&tensor);
    }
  }
  return order;
}

// The quantized weights, by the name of the tensor that holds their codes.
TensorByName weights_by_codes(const Json& quantized) {
  TensorByName weights;
  for (const Json& weight : quantized) {
    if (!weight["tensors"].empty()) weights[as_text(weight["tensors"][0])] = &weight;
  }
  return weights;
}

// "F32 384×1536", what a quantized weight was
std::string original_text(const Json& weight, const Screen& screen) {
  return weight.empty() ? "" : text_in(weight, "dtype") + " " + shape_text(weight["shape"], screen);
}

std::string tensor_table(const Json& model, const Screen& screen) {
  const TensorByName weights = weights_by_codes(model["quantized"]);
  const Json none = Json::object();
  // One scheme for all is among the facts anyway.
  const int drop_scheme = count_values(model["quantized"], "scheme").size() > 1 ? 0 : 3;
  Table table({{"tensor"},
               {"dtype"},
               {"shape"},
               {"size", Column::kRight},
               {"scheme", Column::kLeft, drop_scheme},
               {"of", Column::kLeft, 1},
               {"SQNR dB", Column::kRight, 2}});
  for (const Json* tensor : in_order(model, weights)) {
    const auto found = weights.find(text_in(*tensor, "name"));
    const Json& weight = found == weights.end() ? none : *found->second;
    table.add_row({{text_in(*tensor, "name")},
                   {text_in(*tensor, "dtype")},
                   {shape_text((*tensor)["shape"], screen)},
                   {bytes_in(*tensor, "size_bytes")},
                   {text_in(weight, "scheme"), Style::kGood},
                   {original_text(weight, screen), Style::kDim},
                   {sqnr_text(weight)}});
  }
  return table.text(screen);
}

std::string view(const ParsedApart& description, const Screen& screen) {
  const Json& model = description.rest;
  const std::string table = tensor_table(model, screen);
  return facts_text({{"file", printable(text_in(model, "path"))},
                     {"format", text_in(model, "format")},
                     {"size", bytes_in(model, "size_bytes")},
                     {"parameters", count_text(number_in(model, "parameters"))},
                     {"tensors", counts_fact(model["tensors"], "dtype")},
                     {"quantized", counts_fact(model["quantized"], "scheme")},
                     {"kinds", counts_fact(model["quantized"], "kind")}},
                    screen) +
         metadata_text(description.texts, screen) + notices_text(model, screen, true) +
         (table.empty() ? "" : "\n" + table);
}

}  // namespace

int run_info(const Options& options) {
  const Job job(options);
  const Model model = make<Model>(mnq_model_open_with, options.input.c_str(), job.run());
  const std::string json = text_of(make<Buffer>(mnq_model_describe, model.get()));
  if (options.json) {
    write_stdout(json + "\n");
  } else {
    write_stdout(view(parse_apart(json, "metadata"), screen_of(STDOUT_FILENO)));
  }
  return kExitOk;
}

}  // namespace cli
