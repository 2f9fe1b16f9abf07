// Writes a float32 checkpoint of random weights, as large as asked for: make_checkpoint FILE [--sparse]
// ROWSxCOLUMNS[*COUNT]... --sparse leaves the data as a hole: zeros that take no room on the disk.
#include <algorithm>
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

bool write_random(std::FILE* file, std::uint64_t left) {
  const std::vector<float> values = random_values(1 << 22);
  while (left > 0) {
    const std::uint64_t piece = std::min<std::uint64_t>(left, values.size() * sizeof(float));
    if (std::fwrite(values.data(), 1, piece, file) != piece) return false;
    left -= piece;
  }
  return true;
}

bool write_hole(std::FILE* file, std::uint64_t length) {
  const off_t start = std::ftell(file);
  return std::fflush(file) == 0 && ftruncate(fileno(file), start + static_cast<off_t>(length)) == 0;
}

bool write_checkpoint(const char* path, const std::vector<Shape>& shapes, bool sparse) {
  std::FILE* file = std::fopen(path, "wb");
  if (file == nullptr) return false;
  const std::string header = make_header(shapes);
  const std::uint64_t header_length = header.size();
  std::uint64_t data_length = 0;
  for (const Shape& shape : shapes) data_length += shape.bytes();
  bool good = std::fwrite(&header_length, sizeof header_length, 1, file) == 1;
  good = good && std::fwrite(header.data(), 1, header.size(), file) == header.size();
  good = good && (sparse ? write_hole(file, data_length) : write_random(file, data_length));
  return std::fclose(file) == 0 && good;
}

}  // namespace

int main(int count, char** arguments) {
  const bool sparse = count > 2 && std::strcmp(arguments[2], "--sparse") == 0;
  const int first_shape = sparse ? 3 : 2;
  if (count <= first_shape) {
    std::fprintf(stderr, "usage: make_checkpoint FILE [--sparse] ROWSxCOLUMNS[*COUNT]...\n");
    return 2;
  }
  const std::vector<Shape> shapes = parse_shapes(count - first_shape, arguments + first_shape);
  return write_checkpoint(arguments[1], shapes, sparse) ? 0 : 1;
}
