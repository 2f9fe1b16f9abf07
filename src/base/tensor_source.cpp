#include "base/tensor_source.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/buffer.h"
#include "base/error.h"
#include "base/text/format.h"

namespace mnq {
namespace {

// What the source knows, and what the metadata says.
std::vector<std::vector<std::string>> find_ties(const TensorSource& source) {
  std::vector<std::vector<std::string>> ties(source.tensors().size());
  std::set<std::pair<std::size_t, std::string>> known;
  for (std::size_t i = 0; i < ties.size(); ++i) {
    ties[i] = source.ties(i);
    for (const std::string& tie : ties[i]) known.emplace(i, tie);
  }
  if (source.metadata().empty()) return ties;
  std::unordered_map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < ties.size(); ++i) index.emplace(source.tensors()[i].name, i);
  const auto is_tensor = [&](std::string_view name) { return index.contains(name); };
  for (const auto& [name, target] : tied_names(source.metadata(), is_tensor)) {
    const std::size_t tensor = index.at(target);
    if (known.emplace(tensor, name).second) ties[tensor].push_back(name);
  }
  return ties;
}

// A weight's other names are those of its first part without what follows the weight's name in it.
std::vector<std::string> ties_of(const LogicalTensor& tensor, const TensorInfo& part, std::vector<std::string> ties) {
  if (!tensor.spec || !part.name.starts_with(tensor.name)) return ties;
  const std::string_view suffix = std::string_view(part.name).substr(tensor.name.size());
  std::erase_if(ties, [&](const std::string& tie) { return tie.size() <= suffix.size() || !tie.ends_with(suffix); });
  for (std::string& tie : ties) tie.resize(tie.size() - suffix.size());
  return ties;
}

}  // namespace

const LogicalTensors& TensorSource::found() const {
  std::call_once(was_found_, [this] { found_ = find_weights(); });
  return found_;
}

LogicalTensors TensorSource::find_weights() const { return complete({}); }

LogicalTensors TensorSource::complete(LogicalTensors quantized) const {
  LogicalTensors result = std::move(quantized);
  std::vector<bool> used(tensors_.size(), false);
  std::erase_if(result.tensors, [&](const LogicalTensor& tensor) {
    const bool shares = std::ranges::any_of(tensor.parts, [&](std::size_t part) { return used[part]; });
    if (shares) result.problems.push_back({tensor.name, "a part of it is a part of another weight too"});
    for (const std::size_t part : tensor.parts) used[part] = used[part] || !shares;
    return shares;
  });
  result.tensors.reserve(tensors_.size());
  for (std::size_t i = 0; i < used.size(); ++i) {
    const TensorInfo& info = tensors_[i];
    if (!used[i]) result.tensors.push_back({info.name, info.dtype, info.shape, {i}, {}, nullptr, {}, {}, {}});
  }
  std::ranges::sort(result.tensors, {}, [](const LogicalTensor& tensor) { return tensor.parts.front(); });
  std::vector<std::vector<std::string>> ties = find_ties(*this);
  for (LogicalTensor& tensor : result.tensors) {
    const std::size_t first = tensor.parts.front();
    tensor.hint = hint(first);
    tensor.ties = ties_of(tensor, tensors_[first], std::move(ties[first]));
  }
  return result;
}

const std::vector<LogicalTensor>& TensorSource::require_weights() const {
  if (problems().empty()) return weights();
  const Problem& problem = problems().front();
  const std::string subject = problem.tensor.empty() ? title() : problem.tensor;
  throw Error(Status::kFormat,
              formatted("{}: {}{}{}", title(), problem.tensor, problem.tensor.empty() ? "" : ": ", problem.text),
              "the file was changed after it was quantized: quantize the original again", subject);
}

bool TensorSource::reads_from(const std::string& path) const {
  return std::ranges::any_of(inputs_, [&](const auto& bytes) {
    const FilePlace* place = bytes->place();
    return place != nullptr && place->is_at_or_below(path);
  });
}

void TensorSource::require_unchanged() const {
  for (const auto& bytes : inputs_) bytes->require_unchanged();
}

Tensor load_tensor(const TensorSource& source, std::size_t stored) {
  const TensorInfo& info = source.tensors()[stored];
  Tensor tensor{info.dtype, info.shape, source.view(stored), info.size_bytes};
  const std::size_t alignment = std::max<std::size_t>(1, dtype_bits(info.dtype) / 8);
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(tensor.data.get()) % alignment == 0;
  if (info.size_bytes == 0 || (tensor.data != nullptr && is_aligned)) return tensor;
  const auto bytes = allocate_bytes(info.size_bytes);
  source.read(stored, 0, {bytes.get(), info.size_bytes});
  source.require_unchanged();
  tensor.data = bytes;
  return tensor;
}

const std::byte* fetch(const TensorSource& source, std::size_t stored, std::uint64_t offset, std::uint64_t size,
                       Buffer& buffer) {
  const auto view = source.view(stored);
  if (view != nullptr) {
    const std::byte* bytes = view.get() + offset;
    const std::uint64_t alignment = std::max<std::uint64_t>(1, dtype_bits(source.tensors()[stored].dtype) / 8);
    if (reinterpret_cast<std::uintptr_t>(bytes) % alignment == 0) return bytes;
  }
  auto* bytes = buffer.get<std::byte>(size);
  source.read(stored, offset, {bytes, size});
  return bytes;
}

std::vector<std::pair<std::string, std::string>> tied_names(const Metadata& metadata,
                                                            const std::function<bool(std::string_view)>& is_tensor) {
  std::vector<std::pair<std::string, std::string>> tied;
  for (const auto& [name, target] : metadata) {
    const bool is_name =
        name != "format";  // which safetensors keep for themselves: it is "pt" beside a tensor "pt", too
    if (is_name && is_tensor(target) && !is_tensor(name)) tied.emplace_back(name, target);
  }
  return tied;
}

}  // namespace mnq
