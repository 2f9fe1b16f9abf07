#include "cli/terminal/report_view.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "cli/terminal/format.h"
#include "cli/terminal/human.h"
#include "cli/terminal/table.h"
#include "cli/terminal/utf8.h"

namespace cli {
namespace {

bool is_untouched(const Json& layer) {
  const std::string action = text_in(layer, "action");
  return action == "copy" || action == "skip";
}

Style accuracy_style(const Json& layer, const AccuracyLimits& limits) {
  const double sqnr_db = number_in(layer, "sqnr_db", limits.warning_db);
  if (sqnr_db < limits.critical_db) return Style::kBad;
  return sqnr_db < limits.warning_db ? Style::kWarning : Style::kPlain;
}

std::string list_untouched(const Json& layers, const Screen& screen) {
  Table table(
      {{"tensor"}, {"dtype", Column::kLeft, 1}, {"shape", Column::kLeft, 2}, {"size", Column::kRight}, {"reason"}});
  for (const Json& layer : layers) {
    if (!is_untouched(layer)) continue;
    table.add_row({{text_in(layer, "tensor")},
                   {text_in(layer, "dtype")},
                   {shape_text(layer["shape"], screen)},
                   {bytes_in(layer, "bytes_before")},
                   {text_in(layer, "reason"), Style::kDim}});
  }
  return table.text(screen);
}

struct ReasonSums {
  std::string reason;
  double tensors = 0;
  double bytes = 0;
};

// Most bytes first.
std::vector<ReasonSums> sum_by_reason(const Json& layers) {
  std::map<std::string, ReasonSums> sums;
  for (const Json& layer : layers) {
    if (!is_untouched(layer)) continue;
    ReasonSums& sum = sums[text_in(layer, "reason")];
    sum.reason = text_in(layer, "reason");
    sum.tensors += 1;
    sum.bytes += number_in(layer, "bytes_before", number_in(layer, "bytes_after"));
  }
  std::vector<ReasonSums> sorted;
  for (auto& [reason, sum] : sums) sorted.push_back(std::move(sum));
  std::ranges::stable_sort(sorted, std::ranges::greater{}, &ReasonSums::bytes);
  return sorted;
}

// Layers of one role that became the same.
struct RoleSums {
  std::string role;
  std::string scheme;
  double layers = 0;
  double before = 0;
  double after = 0;
  const Json* lowest = nullptr;  // of the layers that were measured: the one of the lowest SQNR
};

std::vector<RoleSums> sum_by_role(const Json& layers) {
  std::map<std::pair<std::string, std::string>, RoleSums> sums;
  std::map<std::string, double> bytes;
  for (const Json& layer : layers) {
    const std::string role = text_in(layer, "role");
    const std::string stored = text_in(layer, "scheme");
    const std::string scheme = stored.empty() || text_in(layer, "action") == "dequantize" ? "float" : stored;
    RoleSums& sum = sums[{role, scheme}];
    sum.role = role;
    sum.scheme = scheme;
    sum.layers += 1;
    sum.before += number_in(layer, "bytes_before");
    sum.after += number_in(layer, "bytes_after");
    bytes[role] += number_in(layer, "bytes_before");
    constexpr double kExact = std::numeric_limits<double>::infinity();
    const bool is_measured = !layer["sqnr_db"].is_null() || layer["exact"] == true;
    const auto sqnr_of = [](const Json& measured) { return number_in(measured, "sqnr_db", kExact); };
    const bool is_lowest = sum.lowest == nullptr || sqnr_of(layer) < sqnr_of(*sum.lowest);
    if (is_measured && is_lowest) sum.lowest = &layer;
  }
  std::vector<RoleSums> sorted;
  for (auto& [key, sum] : sums) sorted.push_back(std::move(sum));
  std::ranges::stable_sort(sorted, [&](const RoleSums& a, const RoleSums& b) {
    return std::pair(bytes[a.role], a.before) > std::pair(bytes[b.role], b.before);
  });
  return sorted;
}

std::string summarize_untouched(const Json& layers, const Screen& screen) {
  constexpr std::size_t kMostReasons = 8;
  std::vector<ReasonSums> sums = sum_by_reason(layers);
  while (sums.size() > kMostReasons) {  // the smallest join into one line
    const ReasonSums last = std::move(sums.back());
    sums.pop_back();
    sums.back() = {"other reasons (--verbose)", sums.back().tensors + last.tensors, sums.back().bytes + last.bytes};
  }
  Table table({{"reason"}, {"tensors", Column::kRight}, {"size", Column::kRight}});
  for (const ReasonSums& sum : sums) {
    table.add_row({{sum.reason}, {formatted("{:.0f}", sum.tensors)}, {bytes_text(sum.bytes)}});
  }
  return table.text(screen);
}

std::size_t count_schemes(const Json& layers) {
  std::set<std::string> schemes;
  for (const Json& layer : layers) {
    if (!is_untouched(layer)) schemes.insert(text_in(layer, "scheme"));
  }
  return schemes.size();
}

// Each by itself, below the layer that they are of.
void add_experts(Table& table, const Json& layer, const AccuracyLimits& limits) {
  if (!layer.contains("experts")) return;
  std::size_t number = 0;
  for (const Json& expert : layer["experts"]) {
    table.add_row({{formatted("  expert {}", number++)},
                   {""},
                   {""},
                   {""},
                   {sqnr_text(expert), accuracy_style(expert, limits)},
                   {small_number_in(expert, "max_error")},
                   {""},
                   {""}});
  }
}

std::string notices_of_kind(const Json& texts, const std::string& word, Style style, const Screen& screen,
                            bool verbose) {
  constexpr std::size_t kMost = 5;
  const std::size_t shown = verbose || texts.size() <= kMost + 1 ? texts.size() : kMost;
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    text += "  " + paint(screen, style, word + ":") + " " + printable(as_text(texts[i])) + "\n";
  }
  if (shown < texts.size()) {
    text += formatted("  and {} (--verbose lists them)\n",
                      counted(static_cast<double>(texts.size() - shown), ("more " + word).c_str()));
  }
  return text;
}

}  // namespace

std::string layer_table(const Json& layers, const Screen& screen, const AccuracyLimits& limits) {
  // One scheme for all is in the summary anyway; several are worth more than shapes.
  const int drop_scheme = count_schemes(layers) > 1 ? 4 : 1;
  Table table({{"layer"},
               {"kind", Column::kLeft, 1},
               {"shape", Column::kLeft, 3},
               {"scheme", Column::kLeft, drop_scheme},
               {"SQNR dB", Column::kRight},
               {"max error", Column::kRight, 2},
               {"before", Column::kRight},
               {"after", Column::kRight}});
  for (const Json& layer : layers) {
    if (is_untouched(layer)) continue;
    table.add_row({{text_in(layer, "name")},
                   {text_in(layer, "kind")},
                   {shape_text(layer["shape"], screen)},
                   {text_in(layer, "scheme")},
                   {sqnr_text(layer), accuracy_style(layer, limits)},
                   {small_number_in(layer, "max_error")},
                   {bytes_in(layer, "bytes_before")},
                   {bytes_in(layer, "bytes_after")}});
    add_experts(table, layer, limits);
  }
  return table.text(screen);
}

std::string role_table(const Json& layers, const Screen& screen, const AccuracyLimits& limits) {
  const std::vector<RoleSums> sums = sum_by_role(layers);
  if (std::ranges::all_of(sums, [](const RoleSums& sum) { return sum.layers == 1; })) return "";
  Table table({{"role"},
               {"layers", Column::kRight},
               {"as"},
               {"lowest SQNR", Column::kRight, 1},
               {"before", Column::kRight},
               {"after", Column::kRight}});
  for (const RoleSums& sum : sums) {
    const Cell lowest =
        sum.lowest == nullptr ? Cell{""} : Cell{sqnr_text(*sum.lowest), accuracy_style(*sum.lowest, limits)};
    table.add_row({{sum.role},
                   {formatted("{:.0f}", sum.layers)},
                   {sum.scheme},
                   lowest,
                   {bytes_text(sum.before)},
                   {bytes_text(sum.after)}});
  }
  return "\n  " + paint(screen, Style::kBold, "by role") + "\n" + table.text(screen);
}

std::string untouched_table(const Json& layers, const Screen& screen, const char* title, bool verbose) {
  const std::string summary = summarize_untouched(layers, screen);
  if (summary.empty()) return "";
  return "\n  " + paint(screen, Style::kBold, title) + "\n" + summary +
         (verbose ? "\n" + list_untouched(layers, screen) : "");
}

std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts, const Screen& screen) {
  std::size_t width = 0;
  for (const auto& [name, text] : facts) width = std::max(width, text.empty() ? 0 : display_width(name));
  std::string result;
  for (const auto& [name, text] : facts) {
    if (!text.empty()) result += "  " + paint(screen, Style::kDim, pad_right(name, width)) + "  " + text + "\n";
  }
  return result;
}

std::string size_fact(const Json& model, const Screen& screen) {
  const double before = number_in(model, "bytes_before");
  const double after = number_in(model, "bytes_after");
  return formatted("{} {} {}, {}", bytes_text(before), screen.arrow(), bytes_text(after),
                   size_change_text(before, after));
}

std::string accuracy_fact(const Json& model) {
  const std::string sqnr = sqnr_text(model);
  if (sqnr.empty() || sqnr == "exact") return sqnr;
  return formatted("{} dB, maximum error {}", sqnr, small_number_in(model, "max_error"));
}

std::string effort_fact(const Json& report) {
  return formatted("{}, {}, {}", duration_text(number_in(report["model"], "seconds")),
                   counted(number_in(report, "threads"), "thread"), text_in(report, "isa"));
}

std::string notices_text(const Json& report, const Screen& screen, bool verbose) {
  const Json none = Json::array();
  const std::string text =
      notices_of_kind(report.value("warnings", none), "warning", Style::kWarning, screen, verbose) +
      notices_of_kind(report.value("remarks", none), "note", Style::kDim, screen, verbose);
  return text.empty() ? "" : "\n" + text;
}

}  // namespace cli
