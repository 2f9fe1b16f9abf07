// Any settings for a small checkpoint, and what becomes of it in every format: the pieces "model", "settings" of
// quantizing, and "then" of converting and dequantizing what that wrote. What is written must open again, and be valid.
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mnq;
  const auto pieces = fuzz::split_input(data, size);
  const fuzz::Piece model = fuzz::take_piece(pieces, "model");
  fuzz::expect_answer([&] {
    const Settings settings = fuzz::settings_of(fuzz::take_piece(pieces, "settings"));
    const Settings then = fuzz::settings_of(fuzz::take_piece(pieces, "then"));
    fuzz::require(settings_json(parse_settings(settings_json(settings))) == settings_json(settings),
                  "settings that are not as they were", settings_json(settings));
    fuzz::expect_answer([&] { validate_settings(Config(&settings, nullptr), settings); });
    fuzz::run_jobs(*open_memory(model.bytes), settings, then);
  });
  return 0;
}
