#include "cli/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "cli/failure.h"

namespace cli {

std::string read_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_file(path, "cannot be opened", errno);
  const auto close_it = [](const int* number) { ::close(*number); };
  const std::unique_ptr<const int, decltype(close_it)> owner(&descriptor, close_it);
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t count = ::read(descriptor, piece, sizeof piece);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_file(path, "cannot be read", errno);
    if (count == 0) return text;
    text.append(piece, static_cast<std::size_t>(count));
  }
}

}  // namespace cli
