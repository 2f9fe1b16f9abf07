#include "base/tensor.h"

#include <new>

namespace mnq {

std::shared_ptr<std::byte> allocate_bytes(std::uint64_t size_bytes) {
  if (size_bytes == 0) return nullptr;
  constexpr std::align_val_t kAlignment{64};
  auto* bytes = static_cast<std::byte*>(::operator new(size_bytes, kAlignment));
  return {bytes, [](std::byte* p) { ::operator delete(p, kAlignment); }};
}

}  // namespace mnq
