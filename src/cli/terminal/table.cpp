#include "cli/terminal/table.h"

#include <algorithm>

#include "cli/terminal/utf8.h"

namespace cli {
namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kGap = 2;

// Below this, dropping a column is better than shortening further.
constexpr std::size_t kReadable = 28;
constexpr std::size_t kNarrowestName = 8;

std::size_t total_width(const std::vector<std::size_t>& widths) {
  std::size_t total = kIndent;
  for (const std::size_t width : widths) total += width == 0 ? 0 : width + kGap;
  return total - kGap;
}

}  // namespace

void Table::add_row(std::vector<Cell> cells) {
  for (Cell& cell : cells) cell.text = printable(cell.text);
  rows_.push_back(std::move(cells));
}

Table::Widths Table::natural_widths() const {
  Widths widths(columns_.size(), 0);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    for (const auto& row : rows_) widths[i] = std::max(widths[i], display_width(row[i].text));
    if (widths[i] > 0) widths[i] = std::max(widths[i], display_width(columns_[i].title));
  }
  return widths;
}

void Table::fit(Widths& widths, std::size_t limit) const {
  const std::size_t name = std::min(widths[0], kReadable);
  const auto missing = [&] {
    const std::size_t needed = total_width(widths) - widths[0] + name;
    return needed > limit ? needed - limit : 0;
  };
  for (int order = 1; missing() > 0 && order <= static_cast<int>(columns_.size()); ++order) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].drop_order == order) widths[i] = 0;
    }
  }
  std::size_t& last = widths.back();
  if (columns_.back().align == Column::kLeft && last > kReadable) last -= std::min(missing(), last - kReadable);
  const std::size_t others = total_width(widths) - widths[0];
  const std::size_t room = std::max(kNarrowestName, limit - std::min(limit, others));
  widths[0] = std::min(widths[0], room);
}

std::string Table::line(const Screen& screen, const Widths& widths, const std::vector<Cell>& cells) const {
  std::string line;
  std::string blanks(kIndent, ' ');  // owed before the next text, so that no line ends in blanks
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (widths[i] == 0) continue;
    const std::string text = shorten_middle(cells[i].text, widths[i], screen.ellipsis());
    const std::string padding(widths[i] - std::min(widths[i], display_width(text)), ' ');
    const bool is_right = columns_[i].align == Column::kRight;
    if (is_right) blanks += padding;
    if (!text.empty()) {
      line += blanks + paint(screen, cells[i].style, text);
      blanks.clear();
    }
    if (!is_right) blanks += padding;
    blanks.append(kGap, ' ');
  }
  return line + "\n";
}

std::string Table::text(const Screen& screen) const {
  if (rows_.empty()) return "";
  Widths widths = natural_widths();
  if (screen.width != 0) fit(widths, screen.width);
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.push_back({column.title, Style::kDim});
  std::string text = line(screen, widths, titles);
  for (const auto& row : rows_) text += line(screen, widths, row);
  return text;
}

}  // namespace cli
