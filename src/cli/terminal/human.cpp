#include "cli/terminal/human.h"

#include <array>
#include <cmath>
#include <string_view>

#include "cli/terminal/format.h"

namespace cli {
namespace {

// The value in the largest unit of which it has one or more.
std::string scaled_text(double value, const std::array<std::string_view, 5>& units) {
  std::size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < units.size(); ++unit) value /= 1000;
  if (unit == 0) return formatted("{:.0f}{}", value, units[0]);
  return formatted("{:.1f} {}", value, units[unit]);
}

std::string grouped(double count) {
  std::string text = formatted("{:.0f}", count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

}  // namespace

std::string bytes_text(double bytes) { return scaled_text(bytes, {" B", "kB", "MB", "GB", "TB"}); }

std::string count_text(double count) { return scaled_text(count, {"", "k", "M", "G", "T"}); }

std::string duration_text(double seconds) {
  if (seconds < 0.9995) return formatted("{:.0f} ms", seconds * 1000);
  if (seconds < 59.95) return formatted("{:.1f} s", seconds);
  const double minutes = std::floor(std::round(seconds) / 60);
  if (minutes < 60) return formatted("{:.0f} min {:02.0f} s", minutes, std::round(seconds) - minutes * 60);
  return formatted("{:.0f} h {:02.0f} min", std::floor(minutes / 60), std::fmod(minutes, 60));
}

std::string bytes_in(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number() ? bytes_text(found->get<double>()) : "";
}

std::string small_number_in(const Json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_number() ? formatted("{:.3g}", found->get<double>()) : "";
}

std::string shape_text(const Json& shape, const Screen& screen) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const Json& size : shape) text += (text.empty() ? "" : std::string(screen.times())) + dump(size);
  return text;
}

std::string sqnr_text(const Json& object) {
  if (is_true(object, "exact")) return "exact";
  const auto found = object.find("sqnr_db");
  return found != object.end() && found->is_number() ? formatted("{:.1f}", found->get<double>()) : "";
}

std::string counted(double count, const char* noun) {
  return formatted("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string size_change_text(double before, double after) {
  if (before == after || before <= 0 || after <= 0) return "the same size";
  return after < before ? formatted("{:.2f} times smaller", before / after)
                        : formatted("{:.2f} times larger", after / before);
}

}  // namespace cli
