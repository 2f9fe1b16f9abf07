// Any records as the archive of a TorchScript module, or of torch.save: code, pickles and storages, each a piece of the
// input, with checksums that are right, so that what is read is what was changed. An error of ours, or tensors that can
// be read, never a crash and no more time or memory than the input's size justifies.
#include "containers/zip/zip_writer.h"
#include "fuzz/fuzz.h"

namespace mnq::fuzz {
namespace {

// Names may be there twice: that is for the reader to refuse.
std::string archive_of(const std::vector<Piece>& pieces) {
  std::string bytes;
  ZipWriter writer;
  for (const Piece& piece : pieces) writer.add("fuzz/" + piece.name, piece.bytes.size());
  writer.open(string_bytes(bytes));
  for (std::size_t i = 0; i < pieces.size(); ++i) writer.write(i, 0, pieces[i].bytes);
  writer.commit();
  return bytes;
}

}  // namespace
}  // namespace mnq::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mnq;
  const std::vector<fuzz::Piece> pieces = fuzz::split_input(data, size);
  if (pieces.size() > 100) return 0;
  const std::string bytes = fuzz::archive_of(pieces);
  fuzz::expect_answer([&] { fuzz::read_everything(*open_memory(std::as_bytes(std::span(bytes)))); });
  return 0;
}
