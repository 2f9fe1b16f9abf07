// Tables that line up, whatever the width of the terminal.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/terminal/terminal.h"

namespace cli {

struct Column {
  std::string title;
  enum Align { kLeft, kRight } align = kLeft;

  /// Where the terminal is too narrow, the columns with a number go, 1 first; 0 stays.
  int drop_order = 0;
};

struct Cell {
  std::string text;
  Style style = Style::kPlain;
};

/// To fit, texts of the first column are shortened in the middle, and of the last one if it is on the left. A column
/// without any text is left out.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell for each column.
  void add_row(std::vector<Cell> cells);

  /// Lines indented by two blanks, the titles first; "" where there is no row. Without a width nothing is shortened.
  std::string text(const Screen& screen) const;

 private:
  using Widths = std::vector<std::size_t>;  // 0: not shown

  Widths natural_widths() const;
  void fit(Widths& widths, std::size_t limit) const;
  std::string line(const Screen& screen, const Widths& widths, const std::vector<Cell>& cells) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace cli
