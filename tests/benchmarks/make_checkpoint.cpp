// Writes a float32 checkpoint of random weights, as large as asked for: make_checkpoint FILE ROWSxCOLUMNS[*COUNT]...
// "sparse" as the first argument leaves the data as a hole: zeros that take no room on the disk.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

struct Shape {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t bytes() const { return rows * columns * sizeof(float); }
};

std::vector<Shape> parse_shapes(int count, char** texts) {
  std::vector<Shape> shapes;
  for (int i = 0; i < count; ++i) {
    unsigned long long rows = 0, columns = 0, times = 1;
    if (std::sscanf(texts[i], "%llux%llu*%llu", &rows, &columns, &times) < 2) std::exit(2);
    shapes.insert(shapes.end(), times, Shape{rows, columns});
  }
  return shapes;
}

std::string make_header(const std::vector<Shape>& shapes) {
  std::string header = "{";
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    header += (i == 0 ? "" : ",") + ("\"layers." + std::to_string(i) + ".weight\":{\"dtype\":\"F32\",\"shape\":[") +
              std::to_string(shapes[i].rows) + "," + std::to_string(shapes[i].columns) + "],\"data_offsets\":[" +
              std::to_string(offset) + "," + std::to_string(offset + shapes[i].bytes()) + "]}";
    offset += shapes[i].bytes();
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

std::vector<float> random_values(std::size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace

int main(int count, char** arguments) {
  const bool sparse = count > 1 && std::strcmp(arguments[1], "sparse") == 0;
  const int first = sparse ? 2 : 1;
  if (count < first + 2) {
    std::fprintf(stderr, "usage: make_checkpoint [sparse] FILE ROWSxCOLUMNS[*COUNT]...\n");
    return 2;
  }
  const std::vector<Shape> shapes = parse_shapes(count - first - 1, arguments + first + 1);
  const std::string header = make_header(shapes);
  const std::uint64_t length = header.size();
  std::uint64_t left = 0;
  for (const Shape& shape : shapes) left += shape.bytes();

  std::FILE* file = std::fopen(arguments[first], "wb");
  if (file == nullptr) return 1;
  std::fwrite(&length, sizeof length, 1, file);
  std::fwrite(header.data(), 1, header.size(), file);
  if (sparse) {
    std::fflush(file);
    if (ftruncate(fileno(file), static_cast<off_t>(sizeof length + length + left)) != 0) return 1;
  } else {
    const std::vector<float> values = random_values(1 << 22);
    for (; left > 0;) {
      const std::uint64_t piece = left < values.size() * sizeof(float) ? left : values.size() * sizeof(float);
      if (std::fwrite(values.data(), 1, piece, file) != piece) return 1;
      left -= piece;
    }
  }
  return std::fclose(file) == 0 ? 0 : 1;
}
