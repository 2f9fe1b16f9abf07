// monoquant keys
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/config_keys.h"
#include "cli/handles.h"
#include "cli/json.h"
#include "cli/terminal/terminal.h"
#include "cli/terminal/wrap.h"

namespace cli {
namespace {

std::string view(const Json& keys, const Screen& screen) {
  std::string text;
  for (const Json& key : keys) {
    text += paint(screen, Style::kBold, text_in(key, "key")) + ": " + values_of_key(key) +
            paint(screen, Style::kDim,
                  "  (default " + text_in(key, "default") + (is_true(key, "per_layer") ? "; also per layer)" : ")")) +
            "\n" + wrap(text_in(key, "help"), 4, screen.width);
  }
  return text;
}

}  // namespace

int run_keys(const Options& options) {
  const std::string json = text_of(make<Buffer>(mnq_config_list_keys));
  write_stdout(options.json ? json + "\n" : view(parse_json(json), screen_of(STDOUT_FILENO)));
  return kExitOk;
}

}  // namespace cli
