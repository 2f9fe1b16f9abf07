// A checkpoint that only lists its tensors: for what looks at names and shapes alone.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "plan/own_metadata.h"

namespace mnq::test {

struct Listed {
  std::string name;
  Shape shape;
  DType dtype = DType::kF32;
};

class ListedSource final : public DescribedSource {
 public:
  explicit ListedSource(const std::vector<Listed>& listed, Metadata metadata = {}) {
    for (const Listed& each : listed) {
      tensors_.push_back({each.name, each.dtype, each.shape, checked_size_bytes(each.dtype, each.shape).value_or(0)});
    }
    set_metadata(std::move(metadata));
  }
  std::string_view format() const override { return "list"; }
  std::uint64_t size_bytes() const override { return 0; }
  void read(std::size_t tensor, std::uint64_t, std::span<std::byte>) const override {
    ADD_FAILURE() << tensors_[tensor].name << " was read";
  }
  std::shared_ptr<const std::byte> view(std::size_t) const override { return nullptr; }
};

}  // namespace mnq::test
